"""What the node schemas share: sockets, sampling widgets, and a shim for older hosts."""

import dataclasses
import inspect
from collections.abc import Mapping

from comfy_api.latest import io

from ..ming_core import SOLVERS

PREFIX, LITE_PREFIX = "MingUniVision_", "MingLiteUni_"
CATEGORY = "MingUniVision"
LITE_CATEGORY = f"{CATEGORY}/Lite-Uni"
MAX_SEED = 2**64 - 1
MOST_IMAGES = 64

Model = io.Custom("MINGUV_MODEL")
LatentsSocket = io.Custom("MINGUV_LATENTS")
FeaturesSocket = io.Custom("MINGUV_FEATURES")
ContextSocket = io.Custom("MINGUV_CONTEXT")
ConditionSocket = io.Custom("MINGLITE_CONDITION")
DialogueSocket = io.Custom("MINGLITE_DIALOGUE")

_SCHEMA_FIELDS = {field.name for field in dataclasses.fields(io.Schema)}


def node_schema(name: str, **fields: object) -> io.Schema:
    """Build the schema of node `name`, without the fields this host does not know yet."""
    return _schema(PREFIX + name, CATEGORY, fields)


def lite_schema(name: str, **fields: object) -> io.Schema:
    """Build the schema of node `name` of the second family, as `node_schema` does."""
    return _schema(LITE_PREFIX + name, LITE_CATEGORY, fields)


def _schema(node_id: str, category: str, fields: Mapping[str, object]) -> io.Schema:
    known = {key: value for key, value in fields.items() if key in _SCHEMA_FIELDS}
    return io.Schema(node_id=node_id, category=category, **known)


def widget(kind: type[io.ComfyTypeI], name: str, **options: object) -> io.Input:
    """Build an input of `kind`, without the options this host does not know yet."""
    known = inspect.signature(kind.Input.__init__).parameters
    return kind.Input(name, **{key: value for key, value in options.items() if key in known})


def model_input() -> io.Input:
    """Return the socket every node of the model starts with."""
    return widget(Model, "model", tooltip="The model from Load MingUniVision.")


def context_input(tooltip: str) -> io.Input:
    """Return the optional socket for an earlier conversation."""
    return widget(ContextSocket, "context", optional=True, tooltip=tooltip)


def features_input(tooltip: str) -> io.Input:
    """Return the optional socket for pictures given in this turn."""
    return widget(FeaturesSocket, "features", optional=True, tooltip=tooltip)


def seed_input(decides: str = "the noise", more: str = "") -> io.Input:
    """Return the seed widget with its control after generation; it says what it decides."""
    return widget(
        io.Int,
        "seed",
        default=0,
        min=0,
        max=MAX_SEED,
        control_after_generate=True,
        tooltip=f"Decides {decides}. The same seed and settings give the same result again.{more}",
    )


def images_input(tooltip: str) -> io.Input:
    """Return the widget of how many pictures to draw; `seeds_of` says with which seeds."""
    return widget(io.Int, "images", default=1, min=1, max=MOST_IMAGES, tooltip=tooltip)


def seeds_of(seed: int, images: int) -> list[int]:
    """Return the seeds of so many pictures; behind the last seed there is comes 0."""
    return [(seed + i) & MAX_SEED for i in range(images)]


def max_tokens_input(tooltip: str, **options: object) -> io.Input:
    """Return the widget that bounds how much text the model may write."""
    return widget(
        io.Int,
        "max_tokens",
        default=512,
        min=1,
        max=8192,
        tooltip=tooltip,
        **options,
    )


def sampling_inputs() -> list[io.Input]:
    """Return the widgets of `ImageSampling`, in its order."""
    return [
        widget(
            io.Int,
            "steps",
            default=16,
            min=1,
            max=100,
            tooltip="Flow steps for every visual token. 16 is published; fewer is faster.",
        ),
        widget(
            io.Combo,
            "solver",
            options=list(SOLVERS),
            default=SOLVERS[0],
            tooltip="How a flow step is taken: euler as published, ab2 keeps detail at few steps.",
        ),
        _scale("text_guidance", 3.0, "How strongly the picture follows the words (1 = off)."),
        _scale("image_guidance", 1.1, "How strongly it follows earlier pictures (1 = off)."),
        widget(
            io.Float,
            "temperature",
            default=1.0,
            min=0.0,
            max=2.0,
            step=0.05,
            round=0.001,
            tooltip="Size of the noise each visual token starts from. 1 is published.",
        ),
    ]


def _scale(name: str, default: float, tooltip: str) -> io.Input:
    """Return the widget of a guidance scale."""
    return widget(
        io.Float,
        name,
        default=default,
        min=0.0,
        max=20.0,
        step=0.1,
        round=0.001,
        tooltip=tooltip,
    )
