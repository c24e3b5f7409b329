"""The nodes that keep, bring back and show a conversation."""

from collections.abc import Iterator
from dataclasses import fields

from comfy_api.latest import io

from ..ming_core import (
    Features,
    ImageSampling,
    LatentContext,
    Picture,
    Text,
    TextSampling,
    Turn,
    decode_pixels,
    load_context,
)
from . import host
from .schema import ContextSocket, Model, node_schema, widget
from .timeline import Card, Part, draw_timeline


class SaveContext(io.ComfyNode):
    """Save Latent Context: the conversation becomes one file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "SaveContext",
            display_name="Save Latent Context",
            description="Saves the conversation into the output folder, to go on from it later "
            "or on another machine.",
            is_output_node=True,
            inputs=[
                widget(ContextSocket, "context", tooltip="The conversation to save."),
                widget(
                    io.String,
                    "filename_prefix",
                    default="ming/context",
                    tooltip="Folder and beginning of the file name, inside the output folder.",
                ),
            ],
            outputs=[io.String.Output("file", tooltip="The name Load Latent Context knows it by.")],
        )

    @classmethod
    def execute(cls, context: LatentContext, filename_prefix: str) -> io.NodeOutput:
        file = host.write_context(context, filename_prefix)
        return io.NodeOutput(file, ui={"text": [file]})


class LoadContext(io.ComfyNode):
    """Load Latent Context: a saved file becomes the conversation it was."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "LoadContext",
            display_name="Load Latent Context",
            description="Brings back a saved conversation. It goes on only with the model that "
            "made it.",
            inputs=[
                widget(
                    io.Combo,
                    "file",
                    options=host.contexts().choices(),
                    tooltip="A saved context in the input folder, or [output] in the output one.",
                )
            ],
            outputs=[ContextSocket.Output("context", tooltip="The conversation.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return host.contexts().problem(file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return host.contexts().fingerprint(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(load_context(host.contexts().resolve(file)))


class ContextTimeline(io.ComfyNode):
    """Context Timeline: the conversation, drawn."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "ContextTimeline",
            display_name="Context Timeline",
            description="Draws the conversation turn by turn: what was asked, what came back, "
            "and with which settings.",
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
        cls, context: LatentContext, model: host.HostedModel | None = None
    ) -> io.NodeOutput:
        cards = [_card(turn, model) for turn in context.turns]
        title = f"{len(cards)} turns, {context.num_tokens} tokens"
        return io.NodeOutput(ui=host.preview(draw_timeline(cards, title), cls.hidden))


def _card(turn: Turn, model: host.HostedModel | None) -> Card:
    """Return a turn as the timeline draws it."""
    return Card(
        asked=[part for item in turn.parts for part in _parts(item, model)],
        replied=[part for item in turn.reply for part in _parts(item, model)],
        facts=", ".join(_facts(turn)),
    )


def _facts(turn: Turn) -> Iterator[str]:
    """Yield the figures of a turn: its length, its seed, and how it was drawn and written."""
    yield f"{turn.num_prompt_tokens} + {turn.num_reply_tokens} tokens"
    if turn.seed is not None:
        yield f"seed {turn.seed}"
    for sampling in (turn.image_sampling, turn.text_sampling):
        if sampling is not None:
            yield from (f"{name} {value}".replace("_", " ") for name, value in _shown(sampling))


def _shown(sampling: ImageSampling | TextSampling) -> Iterator[tuple[str, object]]:
    """Yield the settings a user has widgets for; the seed is named once already."""
    hidden = ("seed", "time_shift", "renorm")
    names = (field.name for field in fields(sampling) if field.name not in hidden)
    return ((name, getattr(sampling, name)) for name in names)


def _parts(item: Text | Picture, model: host.HostedModel | None) -> list[Part]:
    """Return a text as it is, a picture as its thumbnail or, without a model, as nothing."""
    if isinstance(item, Text):
        return [item.text]
    return [*host.to_pictures(_painted(item.features, model))] if model else [None]


def _painted(features: Features, model: host.HostedModel) -> host.Tensor:
    engine = host.prepare(model, ["pixel_decoder"], host.Work(features=features, images=1))
    return decode_pixels(engine, features)
