"""What the browser is told about a conversation: small, and the same for the same turns.

Knows nothing about the host. The digests let it see where the branches of a run split: two
conversations share exactly the turns whose digests are equal.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from hashlib import sha256

from ..ming_core import Features, ImageSampling, LatentContext, Picture, Text, TextSampling, Turn

Record = dict[str, object]
Show = Callable[[Features], Mapping[str, str] | None]

VERSION = 1
MAX_CHARACTERS = 20_000  # of one text; what is cut is cut for display only
DIGEST_LENGTH = 20
HIDDEN_SETTINGS = ("seed", "renorm")  # named elsewhere, or without a widget
USUAL = {"schedule": "uniform", "time_shift": None}  # told only where they are anything else


def conversation_record(context: LatentContext, show: Show) -> Record:
    """Return the conversation for display.

    show   gives the thumbnail of a picture as the host's /view finds it, or None
    """
    digests = turn_digests(context)
    turns = [
        _turn_record(turn, digest, show) | ({} if is_remembered else {"is_left_out": True})
        for (turn, is_remembered), digest in zip(context.said, digests, strict=True)
    ]
    model = context.model_identity
    return {"version": VERSION, "model": model, "tokens": context.num_tokens, "turns": turns}


def turn_digests(context: LatentContext) -> list[str]:
    """Return a name for each turn said that stands for the model and all turns up to it."""
    digests: list[str] = []
    so_far = sha256(context.model_identity.encode()).hexdigest()
    for turn, _ in context.said:
        so_far = sha256((so_far + "".join(_traits(turn))).encode()).hexdigest()
        digests.append(so_far[:DIGEST_LENGTH])
    return digests


def picture_digest(features: Features) -> str:
    """Return a name for a picture that its features alone decide."""
    numbers = features.values.float().cpu().contiguous().numpy().tobytes()
    return sha256(f"{features.grid}".encode() + numbers).hexdigest()[:DIGEST_LENGTH]


def settings_of(turn: Turn) -> dict[str, object]:
    """Return the settings of a turn that a user has widgets for."""
    drawn = dict(_shown(turn.image_sampling)) if turn.image_sampling else {}
    written = dict(_shown(turn.text_sampling)) if turn.text_sampling else {}
    # Both have a temperature; where both count, that of the text says so.
    return drawn | {f"text_{k}" if k in drawn else k: value for k, value in written.items()}


def _turn_record(turn: Turn, digest: str, show: Show) -> Record:
    return {
        "digest": digest,
        "asked": [_part_record(part, show) for part in turn.parts],
        "replied": [_part_record(part, show) for part in turn.reply],
        # As text: a browser's numbers end at 2**53.
        "seed": None if turn.seed is None else str(turn.seed),
        "settings": settings_of(turn),
        "prompt_tokens": turn.num_prompt_tokens,
        "reply_tokens": turn.num_reply_tokens,
    }


def _part_record(part: Text | Picture, show: Show) -> Record:
    if isinstance(part, Picture):
        return {"picture": show(part.features)}
    if len(part.text) > MAX_CHARACTERS:
        return {"text": part.text[:MAX_CHARACTERS], "is_cut": True}
    return {"text": part.text}


def _traits(turn: Turn) -> Iterator[str]:
    """Yield everything that tells a turn from another, as text without ambiguity."""
    for side in (turn.parts, turn.reply):
        parts = [p.text if isinstance(p, Text) else [picture_digest(p.features)] for p in side]
        yield json.dumps(parts)
    yield json.dumps([turn.seed, settings_of(turn)], sort_keys=True)


def _shown(sampling: ImageSampling | TextSampling) -> Iterator[tuple[str, object]]:
    names = (field.name for field in fields(sampling) if field.name not in HIDDEN_SETTINGS)
    told = ((name, getattr(sampling, name)) for name in names)
    return ((name, value) for name, value in told if name not in USUAL or value != USUAL[name])
