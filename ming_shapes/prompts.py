"""Prompts for pictures: what is required for as data, and how it is said."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import permutations

from ming_core.univision.prompt import GENERATE_PREFIX

from .scene import CELLS, SIZES, Scene, SceneMaker, Thing, can_be_hollow, is_apart, placed
from .words import Mention, Phrasing, a_thing, background_phrase, fits

RELATIONS = ("left of", "right of", "above", "below", "inside")
# On the first, every colour that is asked for outside the training can be seen. The others, one
# more than a picture has things, are for things of its own colour.
PAPERS = ("beige", "white", "black", "blue", "green")
DOWNWARDS = 2  # the gradient that begins as the plain colour does
ORDINARY = "medium"  # the size of what nobody called small or large
BOTTOM = 2  # row
ROUND_ENOUGH = ("circle", "square")  # shapes that another thing fits into
RELATION_WORDS = {
    "en": {
        "left of": ("left of", "to the left of"),
        "right of": ("right of", "to the right of"),
        "above": ("above", "over"),
        "below": ("below", "under"),
        "inside": ("inside", "within"),
    },
    "zh": {
        "left of": ("左边",),
        "right of": ("右边",),
        "above": ("上面",),
        "below": ("下面",),
        "inside": ("里面",),
    },
}
OPENERS = {
    "en": ("", "A picture of ", "Draw ", "Show me ", "There is "),
    "zh": ("", "画", "一幅图：", "请画", "图中"),
}
FORMS = {
    "en": ("{things} on {background}.", "On {background}: {things}.", "{things}, {background}."),
    "zh": ("{things}，{background}。", "{background}上，{things}。", "{background}，{things}。"),
}
JOINS = {"en": (" and ", ", ", " with "), "zh": ("，", "和", "、")}


@dataclass(frozen=True)
class Spec:
    """What a picture must show: mentions, a relation of the first two, a background or none."""

    mentions: tuple[Mention, ...]
    background: str | None = None
    is_graded: bool | None = None
    relation: str | None = None
    kind: str = "single"


def spec_of(scene: Scene, rng: random.Random, *, openness: float = 0.3) -> Spec:
    """Return what to ask of a scene: each detail but shape and colour is open with some chance."""

    def said(value: object) -> bool:
        return value is not None and rng.random() >= openness

    mentions = [
        replace(
            Mention.of(thing),
            size=thing.size if said(thing.size) else None,
            cell=thing.cell if said(thing.cell) else None,
        )
        for thing in scene.things
    ]
    rng.shuffle(mentions)
    has_background = rng.random() >= openness / 2
    return Spec(
        tuple(mentions),
        scene.background if has_background else None,
        scene.gradient > 0 if has_background else None,
        kind="single" if len(mentions) == 1 else "two" if len(mentions) == 2 else "many",
    )


def settled(scene: Scene, spec: Spec) -> Scene:
    """Return a scene as it is drawn where the spec leaves something open (decision 0021).

    A background that is not said is plain paper; a graded one is lighter towards the bottom. A
    thing whose size is not said is a medium one, but where one lies inside another. Of two things,
    one whose place is not said lies below the other, or above where that lies at the bottom; if
    none is said, the second below the first. The same spec for the same scene gives the same.
    """
    scene = replace(scene, gradient=DOWNWARDS if scene.gradient else 0)
    if spec.background is None:
        taken = {thing.colour for thing in scene.things}
        paper = next(colour for colour in PAPERS if colour not in taken)
        scene = replace(scene, background=paper, gradient=0)
    if spec.relation == "inside":
        return scene
    things = _as_said(scene, spec)
    scene = replace(scene, things=things)
    places = [said.cell for said in spec.mentions]
    if len(places) != 2 or all(places) or spec.relation:
        return scene
    known = places[0] or places[1]
    is_first_above = (places[1] is None) == (known is None or known[0] < BOTTOM)
    # The seed is spelt as it was when the bundled model learnt what is ordinary.
    rng = random.Random(f"{spec} {scene}".replace("Spec(", "Wish(", 1))
    while True:
        cells = [place or rng.choice(CELLS) for place in places]
        first, second = (placed(it, cell) for it, cell in zip(things, cells, strict=True))
        is_laid = first.y < second.y if is_first_above else first.y > second.y
        if is_laid and is_apart(first, second):
            return replace(scene, things=(first, second))


def _as_said(scene: Scene, spec: Spec) -> tuple[Thing, ...]:
    """Return the things of a scene in the order of their mentions, of ordinary size where that is
    open; several of one kind as they are."""
    if len(spec.mentions) != len(scene.things):
        return scene.things
    order = next(
        order
        for order in permutations(scene.things)
        if all(fits(said, it) for said, it in zip(spec.mentions, order, strict=True))
    )
    return tuple(
        it if said.size else replace(it, size=ORDINARY, radius=SIZES[ORDINARY])
        for said, it in zip(spec.mentions, order, strict=True)
    )


def counted(maker: SceneMaker, fewest: int = 2) -> tuple[Scene, Spec]:
    """Return a scene of up to four things of one kind, and the spec for their number."""
    rng = maker.rng
    while True:
        scene = maker.scene(0)
        number = rng.randint(fewest, 4)
        pattern = maker.thing(scene.background)
        size = rng.choice(("small", "medium"))
        pattern = replace(pattern, size=size)
        pattern = replace(pattern, is_outlined=pattern.is_outlined and can_be_hollow(pattern))
        things: list[Thing] = []
        for _ in range(60):
            cell = rng.randint(0, 2), rng.randint(0, 2)
            thing = placed(replace(pattern, radius=SIZES[size]), cell)
            if all(is_apart(thing, other) for other in things):
                things.append(thing)
            if len(things) == number:
                said = Mention(
                    pattern.shape, pattern.colour, size, None, pattern.is_outlined, number
                )
                spec = Spec((said,), scene.background, scene.gradient > 0, kind="counting")
                return replace(scene, things=tuple(things)), spec


def related(maker: SceneMaker, relations: tuple[str, ...] = RELATIONS) -> tuple[Scene, Spec]:
    """Return a scene of two things in one of some relations, and the spec that names it."""
    relation = maker.rng.choice(relations)
    scene = nested(maker) if relation == "inside" else side_by_side(maker, relation)
    said = tuple(Mention(t.shape, t.colour, is_outlined=t.is_outlined) for t in scene.things)
    return scene, Spec(said, scene.background, scene.gradient > 0, relation, kind="position")


def side_by_side(maker: SceneMaker, relation: str) -> Scene:
    """Return a scene whose first thing lies in a relation to its second, two places apart."""
    rng = maker.rng
    while True:
        scene = maker.scene(2)
        first, second = scene.things
        line = rng.randint(0, 2)
        is_level = relation in ("left of", "right of")
        low, high = (2, 0) if relation in ("right of", "below") else (0, 2)
        first = placed(first, (line, low) if is_level else (low, line))
        second = placed(second, (line, high) if is_level else (high, line))
        if not alike(first, second):
            return replace(scene, things=(first, second))


def nested(maker: SceneMaker) -> Scene:
    """Return a scene whose first thing lies inside its second, in the middle of some row."""
    rng = maker.rng
    while True:
        scene = maker.scene(0)
        outer, inner = maker.thing(scene.background), maker.thing(scene.background)
        if outer.shape not in ROUND_ENOUGH or inner.colour == outer.colour:
            continue
        outer = placed(replace(outer, size="large", radius=SIZES["large"]), (rng.randint(0, 2), 1))
        inner = replace(
            inner, size="small", radius=SIZES["small"], x=outer.x, y=outer.y, is_outlined=False
        )
        # Pictures paint later things in front, so the inner one comes last; it is named first.
        return replace(scene, things=(inner, outer))


def alike(a: Thing, b: Thing) -> bool:
    """Tell whether two things have the same shape and colour."""
    return a.shape == b.shape and a.colour == b.colour


def say_spec(phrasing: Phrasing, spec: Spec, *, has_frame: bool = True) -> str:
    """Put a spec into words, with or without the published frame."""
    language = phrasing.language
    background = spec.background and background_phrase(
        phrasing, spec.background, is_graded=bool(spec.is_graded)
    )
    opener, form, join = phrasing.pick(OPENERS[language], FORMS[language], JOINS[language])
    things = _things(phrasing, spec, join)
    if background:
        text = form.format(things=things, background=background)
    else:
        text = things + ("。" if language == "zh" else ".")
    if form.startswith("{background}") or form.startswith("On"):
        opener = "" if background else opener
    text = opener + text
    return (GENERATE_PREFIX if has_frame else "") + text[0].upper() + text[1:]


def _things(phrasing: Phrasing, spec: Spec, join: str) -> str:
    phrases = [a_thing(phrasing, mention) for mention in spec.mentions]
    if spec.relation is None:
        return join.join(phrases)
    relation = phrasing.word(RELATION_WORDS[phrasing.language][spec.relation])
    if phrasing.language == "zh":
        return f"{phrases[0]}在{phrases[1]}{relation}"
    return f"{phrases[0]} {relation} {phrases[1]}"


def draw_order(scene: Scene) -> Scene:
    """Return the scene with nested things in front of what they lie in."""
    return replace(scene, things=tuple(sorted(scene.things, key=lambda t: -t.radius)))
