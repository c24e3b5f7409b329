"""What a prompt, with or without a picture, has become: a value that travels on a graph's edge."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import PromptError
from .sizes import Size


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What the diffusion transformer attends to, in fp32 in main memory; never written to.

    tokens         by the scale of the queries they answer: (scale * scale, C)
    unconditional  (1, C), the one token that all tokens are where nothing is asked for
    picture        size of the given picture, where there was one
    made_by        identity of the model
    """

    tokens: Mapping[int, Tensor]
    unconditional: Tensor
    picture: Size | None
    made_by: str

    def tensors(self) -> list[Tensor]:
        """Return the tensors held."""
        return [*self.tokens.values(), self.unconditional]

    def of_scale(self, scale: int | None) -> Tensor:
        """Return the tokens of a scale; None is the finest, which makes the picture."""
        scale = max(self.tokens) if scale is None else scale
        if scale not in self.tokens:
            raise PromptError(
                f"The condition has no scale {scale}, only {', '.join(map(str, self.tokens))}; "
                "encode it with previews."
            )
        return self.tokens[scale]
