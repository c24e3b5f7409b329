"""The widgets that the nodes of the second family share, and the values they stand for."""

from collections.abc import Sequence

from comfy_api.latest import io

from ..ming_core import PromptError, lite_uni
from .schema import ConditionSocket, Model, images_input, seed_input, widget

MAX_SIDE = 8192  # pixels
BINNED, EXACT, LIKE_INPUT = lite_uni.SIZE_MODES


def lite_model_input() -> io.Input:
    """Return the socket every node of the family starts with."""
    return widget(Model, "model", tooltip="A Ming-Lite-Uni model from Load MingUniVision.")


def words_input(name: str, tooltip: str) -> io.Input:
    """Return a text box for words to the model."""
    return widget(
        io.String, name, multiline=True, default="", dynamic_prompts=True, tooltip=tooltip
    )


def condition_output() -> io.Output:
    """Return the socket of an encoded prompt."""
    return ConditionSocket.Output("condition", tooltip="What the prompt asks for, to sample from.")


def sampling_inputs(size_modes: Sequence[str], size_mode: str) -> list[io.Input]:
    """Return the widgets of drawing: seed, number, sampling, size; `size_mode` at first."""
    return [seed_input(), *_sampling(), *_size(size_modes, size_mode)]


def _sampling() -> list[io.Input]:
    return [
        images_input("Pictures to draw, one after the other; picture i uses seed + i."),
        widget(
            io.Int,
            "steps",
            default=30,
            min=1,
            max=1000,
            tooltip="Steps from noise to picture. 30 is published; fewer is faster.",
        ),
        widget(
            io.Float,
            "guidance",
            default=5.0,
            min=0.0,
            max=30.0,
            step=0.1,
            round=0.001,
            tooltip="How strongly the picture follows the prompt. 5 is published; 1 or less is off:"
            " one pass per step in place of two.",
        ),
        widget(
            io.Float,
            "shift",
            default=0.0,
            min=0.0,
            max=100.0,
            step=0.1,
            round=0.001,
            advanced=True,
            tooltip="How much of the way is spent on coarse forms: higher is more. 0 takes what "
            "the checkpoint's scheduler says.",
        ),
    ]


def _size(modes: Sequence[str], mode: str) -> list[io.Input]:
    side = {"default": 512, "min": 32, "max": MAX_SIDE, "step": 32}
    return [
        widget(
            io.Combo,
            "size_mode",
            options=list(modes),
            default=mode,
            tooltip="binned: drawn in the nearest trained size, then scaled and cropped to width "
            "and height. exact: drawn in just that size, in multiples of 32."
            + (
                " like input: the trained size nearest to the given picture's shape." * _asks(modes)
            ),
        ),
        *(
            widget(
                io.Int,
                name,
                **side,
                tooltip=f"{name.capitalize()} of the picture in pixels"
                + ("; not used in mode like input." if _asks(modes) else "."),
            )
            for name in ("width", "height")
        ),
    ]


def _asks(modes: Sequence[str]) -> bool:
    return LIKE_INPUT in modes


def refuse_nothing(words: str, picture: object) -> None:
    """Raise PromptError where neither words nor a picture say what is wanted.

    The engine draws and answers even then, as published; nobody means to wait for it.
    """
    if picture is None and not words.strip():
        raise PromptError("The prompt is empty; write what to draw, change or describe.")


def sampling_of(steps: int, guidance: float, shift: float) -> lite_uni.DiffusionSampling:
    """Return what the widgets ask for."""
    return lite_uni.DiffusionSampling(steps, guidance, shift or None)
