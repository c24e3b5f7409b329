"""The JSON header of a saved context -> what its tensors have to be like, and the context.

Nothing in it is taken for granted: what is missing, of another kind or contradicts the rest raises
a LookupError, TypeError, ValueError or MingError, to which the reader of the file adds its name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from torch import Tensor

from ..foreign_text import plain, shown
from ..kv_cache import KVSegment
from ..pixels import FITS, Frame
from ..places import FLOATS, Likeness
from ..sampling import TextSampling
from ..tensor_files import StoredTensor
from .context import LatentContext, LeftOut, Part, Picture, Text, Turn, pictures_in
from .sampling import UNIFORM, ImageSampling
from .values import Features

Header = Mapping[str, Any]
SettingsT = TypeVar("SettingsT", ImageSampling, TextSampling)
# Settings that are younger than some files, and what every turn before them was made with.
YOUNGER = {"schedule": UNIFORM, "min_p": 0.0, "repetition_penalty": 1.0}
MOST_PIXELS = 2**30  # of a picture that was given: no host holds a larger one
SIDES = (("parts", "num_prompt_tokens"), ("reply", "num_reply_tokens"))


def expected_tensors(header: Header, stored: Mapping[str, StoredTensor]) -> dict[str, Likeness]:
    """Return what every tensor has to be like for the turns that the header counts.

    Layers, heads and channels are those of the first tensor of a kind: all are of one model.
    """
    expected: dict[str, Likeness] = {}
    # Every turn leaves two stretches: what was read, and what was answered.
    counts = [_count(turn[tokens]) for turn in header["turns"] for _, tokens in SIDES]
    if _count(header["num_segments"]) != len(counts):
        raise ValueError(f"{shown(header['num_segments'])} stretches for {len(counts)} counts")
    for index, count in enumerate(counts):
        first = stored["segment.0.keys"]
        layers, heads, _, size = first.shape
        dtypes = (first.dtype,) if first.dtype in FLOATS else FLOATS
        for kind in ("keys", "values"):
            expected[f"segment.{index}.{kind}"] = Likeness((layers, heads, count, size), dtypes)
    pictures = dict(_pictures(header))
    for name, tokens in pictures.items():
        channels = stored[next(iter(pictures))].shape[-1]
        expected[name] = Likeness((1, tokens, channels))
    return expected


def _pictures(header: Header) -> Iterator[tuple[str, int]]:
    """Yield the name of every picture's tensor, and its tokens, which its side of a turn holds."""
    left_out = [(f"left_out.{i}", gone["turn"]) for i, gone in enumerate(_new(header, "left_out"))]
    turns = [(f"turn.{i}", turn) for i, turn in enumerate(header["turns"])]
    for name, turn in (*turns, *left_out):
        held = {side: list(_pictures_of(turn[side], f"{name}.{side}")) for side, _ in SIDES}
        held["parts"] += _pictures_of(_new(turn, "carried"), f"{name}.carried")
        for side, tokens in SIDES:
            yield from held[side]
            if _count(turn[tokens]) < sum(count for _, count in held[side]):
                raise ValueError(f"{name} counts fewer tokens than its pictures have")
    yield from _pictures_of(_new(header, "carried"), "carried")


def _pictures_of(parts: Sequence[Header], side: str) -> Iterator[tuple[str, int]]:
    for number, part in enumerate(parts):
        if "text" in part:
            continue
        name, (rows, columns) = f"{side}.{number}", part["grid"]
        if part["picture"] != name:
            raise ValueError(f"the picture {name} is called {shown(part['picture'])}")
        yield name, _count(rows) * _count(columns)


def _new(header: Header, name: str) -> list[Any]:
    """Return a list that files from before windows do not have."""
    listed = header.get(name, [])
    if not isinstance(listed, list):
        raise TypeError(f"{name} is {shown(listed)}")
    return listed


def read_context(header: Header, tensors: Mapping[str, Tensor]) -> LatentContext:
    """Make the context, of tensors that are as expected."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{plain(name)} holds values that are no numbers")
    identity = header["model_identity"]
    if not isinstance(identity, str):
        raise TypeError(f"the identity is {shown(identity)}")
    segments = tuple(
        KVSegment(tensors[f"segment.{i}.keys"], tensors[f"segment.{i}.values"])
        for i in range(header["num_segments"])
    )
    turns = tuple(_read_turn(turn, tensors, identity) for turn in header["turns"])
    left_out = tuple(
        LeftOut(_count(gone["before"]), _read_turn(gone["turn"], tensors, identity))
        for gone in _new(header, "left_out")
    )
    places = [gone.before for gone in left_out]
    if places != sorted(places) or any(place > len(turns) for place in places):
        raise ValueError(f"turns left out of {len(turns)} lie before the turns {shown(places)}")
    return LatentContext(identity, turns, segments, left_out, _carried(header, tensors, identity))


def _read_turn(header: Header, tensors: Mapping[str, Tensor], identity: str) -> Turn:
    seed = header["seed"]
    return Turn(
        parts=_read_parts(header["parts"], tensors, identity),
        reply=_read_parts(header["reply"], tensors, identity),
        num_prompt_tokens=header["num_prompt_tokens"],
        num_reply_tokens=header["num_reply_tokens"],
        seed=None if seed is None else _count(seed),
        image_sampling=_settings(ImageSampling, header["image_sampling"]),
        text_sampling=_settings(TextSampling, header["text_sampling"]),
        carried=_carried(header, tensors, identity),
        reply_ids=_reply_ids(header),
    )


def _carried(header: Header, tensors: Mapping[str, Tensor], identity: str) -> Picture | None:
    carried = _read_parts(_new(header, "carried"), tensors, identity)
    if len(carried) > 1 or any(isinstance(part, Text) for part in carried):
        raise TypeError("what is carried over is not one picture")
    return next(iter(pictures_in(carried)), None)


def _reply_ids(header: Header) -> tuple[int, ...]:
    ids = tuple(_count(each) for each in _new(header, "reply_ids"))
    if ids and len(ids) != header["num_reply_tokens"]:
        raise ValueError(
            f"a turn's tokens count {shown(header['num_reply_tokens'])}, but {len(ids)} are named"
        )
    return ids


def _settings(kind: type[SettingsT], values: Header | None) -> SettingsT | None:
    """Read settings, all of them: a default of today may not be what was used then."""
    if values is None:
        return None
    names = {field.name for field in fields(kind)}
    values = {**{name: was for name, was in YOUNGER.items() if name in names}, **values}
    if names != set(values):
        raise ValueError(
            f"{kind.__name__} has the settings {shown(sorted(names))}, a turn has "
            f"{shown(sorted(values))}: another version of the pack wrote it"
        )
    for name, hint in get_type_hints(kind).items():
        if not _is_a(values[name], hint):
            raise TypeError(f"{name} is {shown(values[name])}")
    return kind(**values)


def _is_a(value: object, hint: Any) -> bool:  # noqa: ANN401  a type, or several
    """Whether a value of JSON is of a type; whole numbers are floats as well."""
    if isinstance(value, bool):
        return hint is bool
    return isinstance(
        float(value) if isinstance(0.0, hint) and isinstance(value, int) else value, hint
    )


def _read_parts(
    headers: Sequence[Header], tensors: Mapping[str, Tensor], identity: str
) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in headers:
        if "text" not in part:
            rows, columns = part["grid"]
            values, frame = tensors[part["picture"]], _frame(part.get("frame"))
            parts.append(Picture(Features(values, (rows, columns), identity, frame)))
        elif isinstance(part["text"], str):
            parts.append(Text(part["text"]))
        else:
            raise TypeError(f"a text is {shown(part['text'])}")
    return tuple(parts)


def _frame(stored: Header | None) -> Frame | None:
    """Read what a given picture was, which files from before frames do not tell."""
    if stored is None:
        return None
    frame = Frame(_count(stored["height"]), _count(stored["width"]), stored["fit"])
    if frame.fit not in list(FITS) or not 0 < frame.height * frame.width <= MOST_PIXELS:
        raise ValueError(f"a picture was {shown(stored)}")
    return frame


def _count(value: object) -> int:
    """Return a whole number of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"a number is {shown(value)}")
    return value
