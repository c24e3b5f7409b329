"""What was said so far, about a picture or without one: a value that travels on a graph's edge."""

from dataclasses import dataclass

from torch import Tensor

from ..errors import PromptError
from ..progress import Progress
from ..sampling import TextSampling
from .generation import describe
from .model import LiteUniModel


@dataclass(frozen=True, slots=True, eq=False)
class Dialogue:
    """Questions with their answers, in order; words alone, so that any model may go on from them.

    image  the host image (1, H, W, C) that the first question came with, if one did
    """

    exchanges: tuple[tuple[str, str], ...] = ()
    image: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """Return the tensors held."""
        return [] if self.image is None else [self.image]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the dialogue that ends with it."""

    text: str
    dialogue: Dialogue


def ask(
    model: LiteUniModel,
    question: str,
    image: Tensor | None = None,
    *,
    dialogue: Dialogue | None = None,
    sampling: TextSampling | None = None,
    progress: Progress | None = None,
) -> Reply:
    """Ask about a host image (1, H, W, C), or go on from a dialogue, whose picture is read again.

    Raises PromptError for a picture that would come after the first question.
    """
    if image is not None and dialogue is not None:
        raise PromptError(
            "A dialogue and a picture were given; this model looks at one picture, which comes "
            "with the first question. Leave out the picture to go on, or the dialogue to begin "
            "anew."
        )
    dialogue = dialogue or Dialogue(image=image)
    answer = describe(
        model,
        question,
        dialogue.image,
        history=dialogue.exchanges,
        sampling=sampling,
        progress=progress,
    )
    exchanges = (*dialogue.exchanges, (question, answer.text))
    return Reply(answer.text, Dialogue(exchanges, dialogue.image))
