"""What a user may set about drawing; the defaults are the published settings."""

from dataclasses import asdict, dataclass

from ..errors import PromptError
from ..foreign_text import shown
from ..sampling import refuse_endless

SOLVERS = ("euler", "ab2")
UNIFORM, CALIBRATED = SCHEDULES = ("uniform", "calibrated")


@dataclass(frozen=True, slots=True)
class ImageSampling:
    """How visual tokens are drawn (SPEC section 4, "Sampling one latent")."""

    steps: int = 16
    solver: str = "euler"
    text_guidance: float = 3.0
    image_guidance: float = 1.1
    temperature: float = 1.0
    time_shift: float | None = None
    renorm: bool = False
    schedule: str = UNIFORM

    def __post_init__(self) -> None:
        refuse_endless(asdict(self))
        if self.steps < 1:
            raise PromptError(f"steps is {self.steps}; use 1 or more (published: 16).")
        if self.solver not in SOLVERS:
            raise PromptError(f"solver is {shown(self.solver)}; use one of {', '.join(SOLVERS)}.")
        if self.temperature < 0:
            raise PromptError(f"temperature is {self.temperature}; use 0 or more (published: 1).")
        if self.time_shift is not None and self.time_shift <= 0:
            raise PromptError(f"time_shift is {self.time_shift}; use a figure above 0, or none.")
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise PromptError(f"schedule is {self.schedule!r}; use one of {known}.")
        if self.schedule == CALIBRATED and (self.solver != SOLVERS[0] or self.time_shift):
            raise PromptError(
                "Calibrated schedules were found for euler, and without a time shift. Choose "
                "euler and shift 1 with them, or the uniform schedule."
            )
