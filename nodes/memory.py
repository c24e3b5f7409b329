"""What a turn remembers of a conversation: the widget for it, and the node that trims a context."""

from comfy_api.latest import io

from ..ming_core import ALL, LatentContext, MingModel, Window, trim, turn_stage
from .host import models
from .host.progress import HostProgress
from .schema import ContextSocket, model_input, node_schema, widget

EVERYTHING, LAST = "all", "last turn"
TURNS: dict[str, int | None] = {
    EVERYTHING: None,
    LAST: 1,
    "last 2 turns": 2,
    "last 3 turns": 3,
    "picture only": 0,
}


def memory_input(default: str = EVERYTHING) -> io.Input:
    """Return the widget that says how much of the context a turn follows on.

    Last and optional, so that workflows saved without it run as they did: with everything.
    """
    return widget(
        io.Combo,
        "memory",
        options=list(TURNS),
        default=default,
        optional=True,
        tooltip="How much of the context counts: all of it, its last turns, or its last picture "
        "alone. What is left out stays on record, and no picture is decoded for it.",
    )


def window_of(memory: str, *, questions: bool = False) -> Window:
    """Return the window that a choice of the widget means.

    Where not all is remembered, turns that only asked are not, unless `questions` says so.
    """
    return ALL if memory == EVERYTHING else Window(TURNS[memory], questions)


def remembered(
    engine: MingModel, context: LatentContext | None, memory: str
) -> LatentContext | None:
    """Return what a choice of the widget leaves of a context."""
    return context and trim(engine, context, window_of(memory), HostProgress())


class TrimContext(io.ComfyNode):
    """Trim Latent Context: a conversation that remembers chosen turns only."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "TrimContext",
            display_name="Trim Latent Context",
            description="Makes the model remember only a part of the conversation, read anew from "
            "the features of its pictures. Nothing is decoded or drawn.",
            search_aliases=["ming window", "ming memory", "shorten context"],
            inputs=[
                model_input(),
                widget(ContextSocket, "context", tooltip="The conversation to trim."),
                widget(
                    io.Combo,
                    "memory",
                    options=list(TURNS),
                    default=LAST,
                    tooltip="What stays: everything, the last turns, or the last picture alone, "
                    "which the next turn is shown as if it were given.",
                ),
                widget(
                    io.Boolean,
                    "questions",
                    default=False,
                    tooltip="Whether turns that only asked stay, and count as turns.",
                ),
            ],
            outputs=[ContextSocket.Output("context", tooltip="The conversation as trimmed.")],
        )

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        context: LatentContext,
        memory: str,
        questions: bool,  # noqa: FBT001  the host calls by name
    ) -> io.NodeOutput:
        stage = turn_stage(models.conversing(model), context)
        engine, window = models.prepare(model, stage), Window(TURNS[memory], questions)
        return io.NodeOutput(trim(engine, context, window, HostProgress()))
