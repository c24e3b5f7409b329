"""The nodes that keep a conversation and bring it back."""

from collections.abc import Iterator, Mapping

from comfy_api.latest import io

from ..ming_core import LatentContext, Picture, Turn, load_context
from .context_timeline import thumbnails_of
from .host import files, models
from .host.progress import HostProgress
from .schema import ContextSocket, Model, node_schema, widget

LONGEST_LINE = 80  # characters of a turn's words that the list of turns shows


class SaveContext(io.ComfyNode):
    """Save Latent Context: the conversation becomes one file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "SaveContext",
            display_name="Save Latent Context",
            description="Saves the conversation into the output folder, to go on from it later "
            "or on another machine.",
            search_aliases=["ming save conversation", "save chat"],
            is_output_node=True,
            inputs=[
                widget(ContextSocket, "context", tooltip="The conversation to save."),
                widget(
                    io.String,
                    "filename_prefix",
                    default="ming/context",
                    tooltip="Folder and beginning of the file name, inside the output folder.",
                ),
                widget(
                    Model,
                    "model",
                    optional=True,
                    tooltip="Connect the model to see the last picture on the node; without it "
                    "the turns are listed.",
                ),
            ],
            outputs=[io.String.Output("file", tooltip="The name Load Latent Context knows it by.")],
        )

    @classmethod
    def execute(
        cls,
        context: LatentContext,
        filename_prefix: str,
        model: models.HostedModel | None = None,
    ) -> io.NodeOutput:
        if model is not None:
            context.refuse_other_model(model.engine.identity)
        file = files.write_context(context, filename_prefix)
        shown = _last_picture(context, model)
        if not shown:
            HostProgress().say("\n".join([file, *_lines(context)]))
        return io.NodeOutput(file, ui={"text": [file], **({"images": shown} if shown else {})})


class LoadContext(io.ComfyNode):
    """Load Latent Context: a saved file becomes the conversation it was."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "LoadContext",
            display_name="Load Latent Context",
            description="Brings back a saved conversation. It goes on only with the model that "
            "made it.",
            search_aliases=["ming load conversation", "resume chat"],
            inputs=[
                widget(
                    io.Combo,
                    "file",
                    options=files.contexts().offered(),
                    tooltip="A saved context in the input folder, or [output] in the output one.",
                )
            ],
            outputs=[ContextSocket.Output("context", tooltip="The conversation.")],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        # The host hands None for a linked input, whose value it does not know yet.
        return file is None or files.contexts().problem(file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return files.contexts().fingerprint(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(load_context(files.contexts().resolve(file)))


def _last_picture(
    context: LatentContext, model: models.HostedModel | None
) -> list[Mapping[str, str] | None]:
    """Return the thumbnail of the last picture, if there is one and a model to paint it with."""
    parts = [part for turn, _ in context.said for part in (*turn.parts, *turn.reply)]
    pictures = [part.features for part in parts if isinstance(part, Picture)]
    return [thumbnails_of(model)(pictures[-1])] if model and pictures else []


def _lines(context: LatentContext) -> Iterator[str]:
    """Yield what was said in each turn, and what came back, on a line of its own."""
    for number, (turn, _) in enumerate(context.said, start=1):
        yield f"{number}. {_short(turn.prompt_text)} -> {_answer(turn)}"


def _answer(turn: Turn) -> str:
    pictures = ["picture"] * len(turn.pictures)
    return ", ".join([*pictures, _short(turn.reply_text)] if turn.reply_text else pictures)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 3] + "..."
