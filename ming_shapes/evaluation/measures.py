"""Played conversations -> figures of the report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np

from ..questions import conclusion
from ..tasks import Shown
from .judge import Array, look, overlap, overlay
from .player import Played, picture_of
from .verdict import (
    Verdict,
    changed_region,
    judge_scene,
    judge_spec,
    mean_overlap,
    preserved_psnr,
)

Figures = dict[str, float]


def mean(values: Sequence[float | bool]) -> float:
    """Mean of figures, rounded for people; nothing to average is 0."""
    return round(float(np.mean([float(v) for v in values])), 4) if values else 0.0


def psnr(a: Array, b: Array) -> float:
    """PSNR of two pictures in dB, at most 60."""
    error = ((a.astype(float) - b.astype(float)) / 255) ** 2
    return float(-10 * np.log10(max(error.mean(), 1e-6)))


def drawn(played: Played, turn: int = 0) -> tuple[Array, Shown]:
    """Return a turn's picture and what it should show."""
    picture, answer = played.pictures[turn], played.conversation.turns[turn].answer
    assert picture is not None and isinstance(answer, Shown)  # noqa: S101  by construction
    return picture, answer


def verdict_of(played: Played) -> Verdict:
    """Judge the first turn's picture by its spec."""
    spec = played.conversation.turns[0].spec
    assert spec is not None  # noqa: S101  by construction
    return judge_spec(drawn(played)[0], spec)


def generate_figures(groups: dict[str, list[Played]]) -> Figures:
    """Figures of the pictures drawn from words, by kind and by what is right in them."""
    verdicts = {name: [verdict_of(p) for p in played] for name, played in groups.items()}
    every = [v for group in verdicts.values() for v in group]
    overlaps = [
        mean_overlap(drawn(p)[0], drawn(p)[1].scene)
        for p in groups.get("single", [])
        if all(m.cell and m.size for m in p.conversation.turns[0].spec.mentions)  # type: ignore[union-attr]
    ]
    return {
        "single": mean([v.everything for v in verdicts.get("single", [])]),
        "two": mean([v.everything for v in verdicts.get("two", [])]),
        "counting": mean([v.everything for v in verdicts.get("counting", [])]),
        "colors": mean([v.colours for v in every]),
        "position": mean([v.everything for v in verdicts.get("position", [])]),
        "attribution": mean([v.attribution for v in every]),
        "overall": mean([v.everything for v in every]),
        "iou": mean(overlaps),
        "background": mean([v.background for v in every]),
        "shapes": mean([v.shapes for v in every]),
        "places": mean([v.places for v in every]),
        "counts": mean([v.count for v in every]),
    }


def describe_figures(played: list[Played]) -> Figures:
    """Share of exact descriptions, and of their words that are right."""
    exact, words = [], []
    for p in played:
        wanted, said = str(p.conversation.turns[0].answer), p.words[0].strip()
        exact.append(said == wanted)
        a, b = _units(wanted), _units(said)
        words.append(sum(x == y for x, y in zip(a, b, strict=False)) / max(len(a), len(b)))
    return {"exact": mean(exact), "attributes": mean(words)}


def ask_figures(played: list[Played]) -> Figures:
    """Share of right answers, in all and by what was asked."""
    by_kind: dict[str, list[bool]] = {}
    for p in played:
        for turn, said in zip(p.conversation.turns, p.words, strict=True):
            is_right = conclusion(said) == conclusion(str(turn.answer))
            by_kind.setdefault(turn.kind, []).append(is_right)
    every = [right for rights in by_kind.values() for right in rights]
    return {"accuracy": mean(every)} | {kind: mean(r) for kind, r in sorted(by_kind.items())}


def is_edited(played: Played, turn: int) -> bool:
    """Tell whether the picture of a turn shows the scene it should."""
    picture, answer = drawn(played, turn)
    return judge_scene(picture, answer.scene)


def kept_psnr(played: Played, turn: int) -> float:
    """PSNR of what an edit should have left alone, against the picture given or drawn before."""
    picture, answer = drawn(played, turn)
    said = played.conversation.turns[turn]
    before = played.pictures[turn - 1] if said.given is None else picture_of(said.given)
    true_before = _true_before(played, turn)
    region = changed_region(true_before, picture_of(answer))
    return preserved_psnr(picture, true_before if before is None else before, region)


def edit_figures(edits: list[Played], chains: list[Played]) -> Figures:
    """Success of single edits, by kind too, and of chains; what is left alone stays."""
    by_kind: dict[str, list[bool]] = {}
    for p in edits:
        by_kind.setdefault(p.conversation.turns[0].kind, []).append(is_edited(p, 0))
    every = [right for rights in by_kind.values() for right in rights]
    steps = [[is_edited(p, turn) for turn in range(len(p.pictures))] for p in chains]
    return {
        "success": mean(every),
        "preserved_psnr": round(mean([kept_psnr(p, 0) for p in edits]), 2),
        "chain3": mean([all(step) for step in steps]),
        **{kind: mean(rights) for kind, rights in sorted(by_kind.items())},
    }


def talk_figures(played: list[Played]) -> Figures:
    """Pictures drawn from words; of those that show the very scene that was meant, right answers
    about them, and success of the edits that follow, by whether a question lies between."""
    as_meant = [is_edited(p, 0) for p in played]
    answers: list[bool] = []
    edits: dict[bool, list[bool]] = {False: [], True: []}
    for p in compress(played, as_meant):
        is_asked = False
        for number, turn in enumerate(p.conversation.turns[1:], 1):
            if isinstance(turn.answer, str):
                is_asked = True
                answers.append(conclusion(p.words[number]) == conclusion(turn.answer))
            else:
                edits[is_asked].append(is_edited(p, number))
    return {
        "drawn": mean([verdict_of(p).everything for p in played]),
        "answers": mean(answers),
        "edits": mean(edits[False]),
        "edits_after_a_question": mean(edits[True]),
    }


def region_figures(played: list[Played]) -> Figures:
    """Overlap of the overlay with the thing to be edited, and success of the edit after it."""
    overlaps = []
    for p in played:
        picture, answer = drawn(p)
        overlaps.append(overlap(overlay(picture), overlay(picture_of(answer))))
    return {"iou": mean(overlaps), "success": mean([is_edited(p, 1) for p in played])}


def superres_figures(played: list[Played]) -> Figures:
    """How much nearer to the sharp picture the answer is than what was given, in dB."""
    gains = []
    for p in played:
        picture, answer = drawn(p)
        truth, given = picture_of(answer), p.conversation.turns[0].given
        assert given is not None  # noqa: S101  by construction
        gains.append(psnr(picture, truth) - psnr(picture_of(given), truth))
    return {"psnr_gain": round(mean(gains), 2)}


def same_figures(played: list[Played]) -> Figures:
    """PSNR against the true answer, and whether every thing is right."""
    pairs = [(p, *drawn(p)) for p in played]
    return {
        "psnr": round(mean([psnr(picture, picture_of(a)) for _, picture, a in pairs]), 2),
        "success": mean([is_edited(p, 0) for p, _, _ in pairs]),
    }


def num_things(picture: Array) -> int:
    """Count what is seen in a picture."""
    return len(look(picture).things)


def _true_before(played: Played, turn: int) -> Array:
    for earlier in range(turn, -1, -1):
        given = played.conversation.turns[earlier].given
        if given is not None and earlier == turn:
            return picture_of(given)
        if earlier < turn:
            answer = played.conversation.turns[earlier].answer
            if isinstance(answer, Shown):
                return picture_of(answer)
            if given is not None:
                return picture_of(given)
    raise ValueError("the conversation shows nothing before this turn")


def _units(text: str) -> list[str]:
    return text.split() if " " in text else list(text)
