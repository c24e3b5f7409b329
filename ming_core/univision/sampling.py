"""What a user may set about drawing; the defaults are the published settings."""

from dataclasses import asdict, dataclass

from ..errors import PromptError
from ..foreign_text import shown
from ..sampling import refuse_endless

SOLVERS = ("euler", "ab2")


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
