"""The latent context: what the model has read and drawn so far, as an immutable value."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    """One exchange: what the user said and showed, what the model answered, and how.

    carried    a picture of turns left out before this one, shown again in front of `parts`
    reply_ids  the tokens read of an answer with words; without them they follow from `reply`
    """

    parts: tuple[Part, ...]
    reply: tuple[Part, ...]
    num_prompt_tokens: int
    num_reply_tokens: int
    seed: int | None = None
    image_sampling: ImageSampling | None = None
    text_sampling: TextSampling | None = None
    carried: Picture | None = None
    reply_ids: tuple[int, ...] = ()

    @property
    def prompt_text(self) -> str:
        """The user's words, pictures left out."""
        return " ".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reply_text(self) -> str:
        """The model's words, pictures left out."""
        return " ".join(part.text for part in self.reply if isinstance(part, Text))

    @property
    def shown(self) -> tuple[Part, ...]:
        """What the model was shown: the user's parts, behind what was carried over to them."""
        return self.parts if self.carried is None else (self.carried, *self.parts)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures the model drew in this turn."""
        return pictures_in(self.reply)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A turn that was said and is not remembered, before the remembered turn number `before`."""

    before: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class LatentContext:
    """What the language model has read and written so far, as a value on a graph edge.

    `append` returns a new context that shares every earlier segment, so that two edits may
    start from one context. It rests in main memory, and no method writes to a tensor.

    left_out  turns of the conversation that the model does not remember, in order
    carried   a picture of them that the next turn shows again
    """

    model_identity: str
    turns: tuple[Turn, ...] = ()
    segments: tuple[KVSegment, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    carried: Picture | None = None

    @property
    def said(self) -> tuple[tuple[Turn, bool], ...]:
        """Every turn of the conversation in order, and whether the model remembers it."""
        turns: list[tuple[Turn, bool]] = [(turn, True) for turn in self.turns]
        for gone in reversed(self.left_out):
            turns.insert(gone.before, (gone.turn, False))
        return tuple(turns)

    @property
    def num_tokens(self) -> int:
        """Tokens read and written so far."""
        return sum(segment.num_tokens for segment in self.segments)

    def append(self, turn: Turn, *segments: KVSegment) -> "LatentContext":
        """Return a context with one more turn, whose keys and values are `segments`."""
        turns, stretches = (*self.turns, turn), (*self.segments, *segments)
        return replace(self, turns=turns, segments=stretches, carried=None)

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
        parts = [part for turn, _ in self.said for part in (*turn.shown, *turn.reply)]
        shown = pictures_in((*parts, self.carried) if self.carried else parts)
        return [picture.features.values for picture in shown]

    def tensors(self) -> list[Tensor]:
        """Return the tensors held, pictures included; one that is shown twice counts once."""
        pictures = {id(values): values for values in self._pictures()}
        return [*pictures.values(), *(t for s in self.segments for t in (s.keys, s.values))]


def pictures_in(parts: Iterable[Part]) -> tuple[Picture, ...]:
    """Return the pictures among parts, in order."""
    return tuple(part for part in parts if isinstance(part, Picture))
