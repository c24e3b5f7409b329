"""The latent context: what the model has read and drawn so far, as an immutable value."""

from dataclasses import dataclass

from torch import Tensor

from ..errors import ContextError
from ..kv_cache import KVSegment, KVShape
from ..sampling import TextSampling
from .sampling import ImageSampling
from .values import Features


@dataclass(frozen=True, slots=True)
class Text:
    """Words in a turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a turn, given or drawn, as the semantic features (1, N, D) of one image."""

    features: Features


Part = Text | Picture


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: what the user said and showed, what the model answered, and how."""

    parts: tuple[Part, ...]
    reply: tuple[Part, ...]
    num_prompt_tokens: int
    num_reply_tokens: int
    seed: int | None = None
    image_sampling: ImageSampling | None = None
    text_sampling: TextSampling | None = None

    @property
    def prompt_text(self) -> str:
        """The user's words, pictures left out."""
        return " ".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reply_text(self) -> str:
        """The model's words, pictures left out."""
        return " ".join(part.text for part in self.reply if isinstance(part, Text))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures the model drew in this turn."""
        return tuple(part for part in self.reply if isinstance(part, Picture))


@dataclass(frozen=True, slots=True)
class LatentContext:
    """What the language model has read and written so far, as a value on a graph edge.

    `append` returns a new context that shares every earlier segment, so that two edits may
    start from one context. It rests in main memory, and no method writes to a tensor.
    """

    model_identity: str
    turns: tuple[Turn, ...] = ()
    segments: tuple[KVSegment, ...] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens read and written so far."""
        return sum(segment.num_tokens for segment in self.segments)

    def append(self, turn: Turn, *segments: KVSegment) -> "LatentContext":
        """Return a context with one more turn, whose keys and values are `segments`."""
        return LatentContext(self.model_identity, (*self.turns, turn), (*self.segments, *segments))

    def refuse_other_model(self, identity: str) -> None:
        """Raise ContextError unless this model made the context: no other can read it."""
        if self.model_identity != identity:
            raise ContextError(
                f"This context was made by the model {self.model_identity[:12]}; the connected "
                f"model is {identity[:12]}. Connect the model it was made by, or run the nodes "
                "before the context input again with this one."
            )

    def refuse_misfit(self, shape: KVShape, channels: int) -> None:
        """Raise ContextError unless keys, values and pictures are of a model's own shapes.

        What is smaller would be repeated until it fits, and the model remember something else.
        """
        wanted = (shape.num_layers, shape.num_kv_heads, shape.head_size)
        seen = [t.shape for s in self.segments for t in (s.keys, s.values)]
        odd = [tuple(size) for size in seen if (*size[:2], *size[3:]) != wanted]
        odd += [tuple(t.shape) for t in self._pictures() if t.shape[-1] != channels]
        if odd:
            raise ContextError(
                f"This context holds tensors of shape {odd[0]}; the connected model remembers "
                f"{wanted[0]} layers of {wanted[1]} heads with {wanted[2]} channels, and pictures "
                f"of {channels} channels. The context is damaged: save it again."
            )

    def _pictures(self) -> list[Tensor]:
        parts = [part for turn in self.turns for part in (*turn.parts, *turn.reply)]
        return [part.features.values for part in parts if isinstance(part, Picture)]

    def tensors(self) -> list[Tensor]:
        """Return the tensors held, pictures included."""
        return [*self._pictures(), *(t for s in self.segments for t in (s.keys, s.values))]
