"""The node that shows a conversation: as data for the browser, and as one picture."""

from collections.abc import Iterator
from functools import partial

from comfy_api.latest import io
from PIL import Image

from ..ming_core import Features, LatentContext, Picture, Text, Turn, decode_pixels, painting_stage
from .host import models, pictures
from .schema import ContextSocket, Model, node_schema, widget
from .timeline import Card, Part, draw_timeline
from .turn_records import Show, conversation_record, picture_digest, settings_of

THUMBNAIL = 224  # pixels, the longer side


class ContextTimeline(io.ComfyNode):
    """Context Timeline: the conversation, drawn."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "ContextTimeline",
            display_name="Context Timeline",
            description="Draws the conversation turn by turn: what was asked, what came back, "
            "and with which settings. Go on from any turn of it.",
            search_aliases=["ming history", "show conversation", "chat history"],
            is_output_node=True,
            inputs=[
                widget(ContextSocket, "context", tooltip="The conversation to show."),
                widget(
                    Model,
                    "model",
                    optional=True,
                    tooltip="Connect the model to see its pictures; without it they are frames.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls, context: LatentContext, model: models.HostedModel | None = None
    ) -> io.NodeOutput:
        show = thumbnails_of(model)
        cards = [_card(turn, show, is_remembered) for turn, is_remembered in context.said]
        turns = f"{len(cards)} turn{'' if len(cards) == 1 else 's'}"
        sheet = draw_timeline(cards, f"{turns}, {context.num_tokens} tokens")
        # The sheet is for hosts without a browser; as "images" the node would show both.
        sheets = pictures.preview(sheet, cls.hidden)["images"]
        record = conversation_record(context, show)
        return io.NodeOutput(ui={"ming_timeline": [record], "ming_sheet": sheets})


def thumbnails_of(model: models.HostedModel | None) -> Show:
    """Return what gives a picture's thumbnail; each picture is decoded once per session."""

    def show(features: Features) -> dict[str, str] | None:
        if model is None:
            return None
        name = f"ming_thumbnail_{picture_digest(features)}"
        return pictures.thumbnail(name, THUMBNAIL, partial(_paint, model, features))

    return show


def _paint(model: models.HostedModel, features: Features) -> Image.Image:
    engine = models.prepare(model, painting_stage(models.conversing(model), features))
    return pictures.to_pictures(decode_pixels(engine, features))[0]


def _card(turn: Turn, show: Show, is_remembered: bool) -> Card:  # noqa: FBT001  as `said` has it
    """Return a turn as the sheet draws it."""

    def side(parts: tuple[Text | Picture, ...]) -> list[Part]:
        return [_part(part, show) for part in parts]

    facts = [*_facts(turn), *([] if is_remembered else ["not remembered"])]
    return Card(side(turn.parts), side(turn.reply), ", ".join(facts))


def _part(part: Text | Picture, show: Show) -> Part:
    """Return a text as it is, a picture as its thumbnail or, without a model, as nothing."""
    if isinstance(part, Text):
        return part.text
    entry = show(part.features)
    return pictures.open_thumbnail(entry) if entry else None


def _facts(turn: Turn) -> Iterator[str]:
    """Yield the figures of a turn: its length, its seed, and how it was drawn and written."""
    yield f"{turn.num_prompt_tokens} + {turn.num_reply_tokens} tokens"
    if turn.seed is not None:
        yield f"seed {turn.seed}"
    yield from (f"{name} {value}".replace("_", " ") for name, value in settings_of(turn).items())
