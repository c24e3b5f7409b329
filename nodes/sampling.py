"""The widgets of flow schedules, and the settings of a drawing made of all its widgets."""

from comfy_api.latest import io

from ..ming_core import SCHEDULES, ImageSampling, LoadedModel
from .host.progress import HostProgress
from .schema import widget

NO_SHIFT = 1.0


def schedule_inputs() -> list[io.Input]:
    """Return the widgets that came after those of `sampling_inputs`; older workflows lack them."""
    return [
        widget(
            io.Combo,
            "schedule",
            options=list(SCHEDULES),
            default=SCHEDULES[0],
            optional=True,
            advanced=True,
            tooltip="Where the flow steps lie. uniform: at even distances, 16 of them are "
            "published. calibrated: where `ming calibrate` found that few steps (4 to 12) draw "
            "nearly the same; the node says how nearly.",
        ),
        widget(
            io.Float,
            "time_shift",
            default=NO_SHIFT,
            min=0.1,
            max=10.0,
            step=0.05,
            round=0.001,
            optional=True,
            advanced=True,
            tooltip="Moves uniform steps: below 1 they lie closer together near the picture, above "
            "1 near the noise. 1 is published.",
        ),
    ]


def image_sampling(  # noqa: PLR0917  the widgets, in their order
    engine: LoadedModel,
    steps: int,
    solver: str,
    text_guidance: float,
    image_guidance: float,
    temperature: float,
    schedule: str,
    time_shift: float,
) -> ImageSampling:
    """Return the settings that the widgets ask for, and say what a calibrated schedule costs."""
    shift = None if time_shift == NO_SHIFT else time_shift
    guidance = (text_guidance, image_guidance)
    asked = ImageSampling(steps, solver, *guidance, temperature, shift, schedule=schedule)
    known = getattr(engine, "schedules", None)
    if schedule != SCHEDULES[0] and known is not None and steps in known.by_steps:
        HostProgress().say(known.told(steps))
    return asked
