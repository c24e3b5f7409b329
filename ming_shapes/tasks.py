"""Conversations about scenes, as data: what the user shows and says, and the right answer.

Every task of the tiny model is one function here. Training and evaluation draw from the same
functions, with other scenes and other phrasings (`SceneStyle`, `Phrasing`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ming_core.univision.prompt import region_prompt

from .edits import COPY, KEEP, RESTORE, SEGMENT, EditMaker, EditStep
from .prompts import Spec, counted, draw_order, related, say_spec, settled, spec_of
from .questions import (
    COMPARING,
    POINTING,
    Question,
    any_question,
    describe_request,
    description,
    question,
)
from .render import Effect
from .scene import CELLS, Scene, SceneMaker, SceneStyle, Thing
from .words import Phrasing

QUIZ = 5  # questions of a quiz
COMPARED = 0.7  # share of quizzes that compare
ALIKE = 0.6  # share of those about things of which two have one shape
REDRAWN = ("move", "replace", "resize", "outline", "fill")  # edits that go wrong most often
REDRAWN_FIRST = ("recolour", "reshape", "replace", "resize")  # of a thing that stays where it is


@dataclass(frozen=True)
class Shown:
    """A picture: a scene, what was done to it, and which thing is marked; and, where words that
    pointed at a thing of the picture before led to it, that thing as it was there."""

    scene: Scene
    effect: Effect = Effect.NONE
    marked: int = 0
    meant: Thing | None = None


@dataclass(frozen=True)
class Say:
    """One turn: a picture the user gives or none, the words, and the answer: words or picture."""

    words: str
    answer: str | Shown
    given: Shown | None = None
    kind: str = ""
    spec: Spec | None = None
    edit: EditStep | None = None
    meant: tuple[Thing, ...] | None = None  # the things that a question is about

    @property
    def about(self) -> tuple[Thing, ...] | None:
        """The things that a question or an instruction is about, as they were before it; None where
        it is about none in particular."""
        if isinstance(self.answer, str):
            return self.meant
        return None if self.answer.meant is None else (self.answer.meant,)


@dataclass(frozen=True)
class Conversation:
    """Turns one after another in one context."""

    task: str
    turns: tuple[Say, ...]


@dataclass
class TaskSampler:
    """Everything random a task needs, from one stream of numbers."""

    rng: random.Random
    style: SceneStyle = field(default_factory=SceneStyle)
    is_held_out: bool = False
    chinese: float = 0.3
    most_things: int = 3
    is_plain: bool = False  # everything said, always in the same words

    def __post_init__(self) -> None:
        language = "zh" if self.rng.random() < self.chinese else "en"
        self.maker = SceneMaker(self.rng, self.style)
        self.phrasing = Phrasing(self.rng, language, self.is_held_out, self.is_plain)
        self.edits = EditMaker(self.maker, self.phrasing)

    def scene(self, fewest: int = 1) -> Scene:
        """Return a scene of up to `most_things`."""
        return self.maker.scene(self.rng.randint(fewest, max(fewest, self.most_things)))

    def unlike(self) -> Scene:
        """Return a scene of several things, no two of one shape: which is meant, its shape says."""
        while True:
            scene = self.maker.scene(max(2, self.most_things))
            if len({thing.shape for thing in scene.things}) == len(scene.things):
                return scene

    def alike(self) -> Scene:
        """Return a scene of several things, two of one shape but not of one colour."""
        while True:
            scene = self.maker.scene(max(2, self.most_things))
            kinds = {(thing.shape, thing.colour) for thing in scene.things}
            if len(kinds) == len(scene.things) > len({shape for shape, _ in kinds}):
                return scene


def draw_one(sampler: TaskSampler) -> Conversation:
    """Draw one thing."""
    return _drawn(sampler, sampler.maker.scene(1))


def draw_two(sampler: TaskSampler) -> Conversation:
    """Draw two things."""
    return _drawn(sampler, sampler.maker.scene(2))


def draw_counted(sampler: TaskSampler) -> Conversation:
    """Draw several alike things."""
    scene, spec = counted(sampler.maker)
    return _required("counting", sampler, scene, spec)


def draw_four(sampler: TaskSampler) -> Conversation:
    """Draw four alike things; a lesson, no test: of all numbers the one most often missed."""
    scene, spec = counted(sampler.maker, fewest=4)
    return _required("counting", sampler, scene, spec)


def draw_related(sampler: TaskSampler) -> Conversation:
    """Draw two things in a relation."""
    scene, spec = related(sampler.maker)
    return _required("position", sampler, scene, spec)


def draw_inside(sampler: TaskSampler) -> Conversation:
    """Draw one thing inside another; a lesson, no test: one relation of five is the hardest."""
    scene, spec = related(sampler.maker, ("inside",))
    return _required("position", sampler, scene, spec)


def describe(sampler: TaskSampler) -> Conversation:
    """Describe a given picture in full."""
    scene = sampler.scene()
    answer = description(scene, sampler.phrasing.language)
    turn = Say(describe_request(sampler.phrasing), answer, Shown(scene), "describe")
    return Conversation("describe", (turn,))


def ask(sampler: TaskSampler) -> Conversation:
    """Ask one to three questions about a given picture."""
    scene = sampler.scene()
    given: Shown | None = Shown(scene)
    turns: list[Say] = []
    for _ in range(sampler.rng.choice((1, 1, 2, 3))):
        asked = any_question(sampler.phrasing, scene, sampler.style)
        turns.append(_asked(asked, given))
        given = None
    return Conversation("ask", tuple(turns))


def quiz(sampler: TaskSampler) -> Conversation:
    """Ask many questions about one of many things; a lesson, no test (decision 0021).

    Of things no two of which are alike, no number but zero and one is ever asked for by shape.
    """
    kinds = COMPARING if sampler.rng.random() < COMPARED else POINTING
    is_alike = kinds is COMPARING and sampler.rng.random() < ALIKE
    scene = sampler.alike() if is_alike else sampler.unlike()
    given: Shown | None = Shown(scene)
    turns: list[Say] = []
    for _ in range(QUIZ):
        asked = question(sampler.phrasing, scene, sampler.rng.choice(kinds), sampler.style)
        turns.append(_asked(asked, given))
        given = None
    return Conversation("quiz", tuple(turns))


def copy(sampler: TaskSampler) -> Conversation:
    """Draw a given picture once more: the plainest test of patch for patch binding."""
    scene = sampler.scene()
    words = sampler.edits.say(COPY[sampler.phrasing.language], {})
    return Conversation("copy", (Say(words, Shown(scene), Shown(scene), "copy"),))


def sharpen(sampler: TaskSampler) -> Conversation:
    """Sharpen a blurred or enlarged picture."""
    effect = sampler.rng.choice((Effect.BLUR, Effect.SMALL))
    return _restored("superres", sampler, effect, RESTORE[Effect.BLUR])


def colourise(sampler: TaskSampler) -> Conversation:
    """Colour a grey picture."""
    return _restored("colourise", sampler, Effect.GREY, RESTORE[Effect.GREY])


def edit(sampler: TaskSampler) -> Conversation:
    """Edit a given picture once."""
    scene = sampler.scene()
    step = sampler.edits.any_edit(scene)
    turn = Say(step.words, _edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("edit", (turn,))


def edit_one(sampler: TaskSampler) -> Conversation:
    """Edit one of many things; a lesson, no test (decision 0021)."""
    scene = sampler.unlike()
    step, _ = _edit_of_a_thing(sampler, scene)
    turn = Say(step.words, _edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("edit_one", (turn,))


def redraw(sampler: TaskSampler) -> Conversation:
    """Edit a given picture in a way that draws a thing anew; a lesson, no test."""
    scene = sampler.scene()
    step = sampler.edits.any_edit(scene, REDRAWN)
    turn = Say(step.words, _edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("redraw", (turn,))


def redraw_first(sampler: TaskSampler) -> Conversation:
    """Edit a thing of the first place; a lesson, no test (training/README.md).

    Everything about it must be known before the first patch, with no patch to think over it.
    """
    while True:
        scene = sampler.scene()
        step = sampler.edits.any_edit(scene, REDRAWN_FIRST)
        assert step.index is not None  # noqa: S101  all of these are about a thing
        if scene.things[step.index].cell == CELLS[0]:
            break
    turn = Say(step.words, _edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("redraw_first", (turn,))


def region_then_edit(sampler: TaskSampler) -> Conversation:
    """Show the region an edit concerns, then edit."""
    scene = sampler.scene()
    step, index = _edit_of_a_thing(sampler, scene)
    region = Shown(scene, Effect.MARK, index, scene.things[index])
    asked = Say(region_prompt(step.words), region, Shown(scene), "region", edit=step)
    done = Say(step.words, _edited(scene, step), None, step.kind, edit=step)
    return Conversation("region", (asked, done))


def segment(sampler: TaskSampler) -> Conversation:
    """Show a thing white on black."""
    scene = sampler.scene()
    index = sampler.rng.randrange(len(scene.things))
    return Conversation("segment", (_segmented(sampler, scene, index),))


def keep_only(sampler: TaskSampler) -> Conversation:
    """Show a thing alone on white."""
    while True:
        scene = sampler.scene()
        index = sampler.rng.randrange(len(scene.things))
        meant = scene.things[index]
        if meant.colour != "white":
            break
    alone = Shown(Scene("white", (meant,)), meant=meant)
    words = sampler.edits.say(
        KEEP[sampler.phrasing.language], {"it": sampler.edits.point(scene, index)}
    )
    return Conversation("keep_only", (Say(words, alone, Shown(scene), "keep_only"),))


def matting(sampler: TaskSampler) -> Conversation:
    """Show a thing white on black, then alone on white, in one context."""
    (kept,) = keep_only(sampler).turns
    scene, meant = kept.given.scene, kept.answer.meant  # type: ignore[union-attr]
    segmented = _segmented(sampler, scene, scene.things.index(meant))  # type: ignore[arg-type]
    return Conversation("matting", (segmented, replace(kept, given=None)))


def restore_then_edit(sampler: TaskSampler) -> Conversation:
    """Sharpen or colour a given picture, then edit it once or twice in the same context."""
    (restored,) = sampler.rng.choice((sharpen, colourise))(sampler).turns
    edits = chain_from(sampler, restored.answer.scene, sampler.rng.randint(1, 2)).turns  # type: ignore[union-attr]
    turns = (restored, *(replace(turn, given=None) for turn in edits))
    return Conversation("restore_then_edit", turns)


def edit_chain(sampler: TaskSampler, length: int = 0) -> Conversation:
    """Edit a given picture several times in one context."""
    return chain_from(sampler, sampler.scene(), length or sampler.rng.randint(2, 6))


def draw_then_edit(sampler: TaskSampler) -> Conversation:
    """Draw a picture, ask about it sometimes, and edit it once or twice."""
    start = _drawn(sampler, sampler.maker.scene(sampler.rng.randint(1, 2)), openness=0.1)
    scene = start.turns[0].answer.scene  # type: ignore[union-attr]
    turns = list(start.turns)
    if sampler.rng.random() < 0.4:
        asked = any_question(sampler.phrasing, scene, sampler.style)
        turns.append(_asked(asked, None))
    edits = chain_from(sampler, scene, sampler.rng.randint(1, 2)).turns
    turns += [replace(turn, given=None) for turn in edits]
    return Conversation("draw_then_edit", tuple(turns))


def chain_from(sampler: TaskSampler, scene: Scene, length: int) -> Conversation:
    """Edit a given scene `length` times."""
    turns: list[Say] = []
    given: Shown | None = Shown(scene)
    for _ in range(length):
        step = sampler.edits.any_edit(scene)
        turns.append(Say(step.words, _edited(scene, step), given, step.kind, edit=step))
        scene, given = step.after, None
    return Conversation("chain", tuple(turns))


TASKS: dict[str, Callable[[TaskSampler], Conversation]] = {
    "draw_one": draw_one,
    "draw_two": draw_two,
    "draw_counted": draw_counted,
    "draw_four": draw_four,
    "draw_related": draw_related,
    "draw_inside": draw_inside,
    "describe": describe,
    "ask": ask,
    "quiz": quiz,
    "copy": copy,
    "sharpen": sharpen,
    "colourise": colourise,
    "edit": edit,
    "edit_one": edit_one,
    "redraw": redraw,
    "redraw_first": redraw_first,
    "region": region_then_edit,
    "segment": segment,
    "keep_only": keep_only,
    "matting": matting,
    "restore_then_edit": restore_then_edit,
    "chain": edit_chain,
    "draw_then_edit": draw_then_edit,
}


def _edit_of_a_thing(sampler: TaskSampler, scene: Scene) -> tuple[EditStep, int]:
    while True:
        step = sampler.edits.any_edit(scene)
        if step.index is not None:
            return step, step.index


def _segmented(sampler: TaskSampler, scene: Scene, index: int) -> Say:
    meant = scene.things[index]
    alone = Shown(Scene("black", (replace(meant, colour="white"),)), meant=meant)
    words = sampler.edits.say(
        SEGMENT[sampler.phrasing.language], {"it": sampler.edits.point(scene, index)}
    )
    return Say(words, alone, Shown(scene), "segment")


def _edited(scene: Scene, step: EditStep) -> Shown:
    return Shown(step.after, meant=None if step.index is None else scene.things[step.index])


def _drawn(sampler: TaskSampler, scene: Scene, openness: float = 0.3) -> Conversation:
    spec = spec_of(scene, sampler.rng, openness=0.0 if sampler.is_plain else openness)
    return _required(spec.kind, sampler, scene, spec)


def _asked(asked: Question, given: Shown | None) -> Say:
    return Say(asked.words, asked.answer, given, asked.kind, meant=asked.meant)


def _required(kind: str, sampler: TaskSampler, scene: Scene, spec: Spec) -> Conversation:
    # The published frame mostly, so that the workflows' prompts work; plain words as well.
    has_frame = sampler.is_plain or sampler.rng.random() < 0.7
    words = say_spec(sampler.phrasing, spec, has_frame=has_frame)
    shown = Shown(draw_order(settled(scene, spec)))
    return Conversation(kind, (Say(words, shown, None, kind, spec=spec),))


def _restored(
    task: str, sampler: TaskSampler, effect: Effect, words: dict[str, tuple[str, ...]]
) -> Conversation:
    scene = sampler.scene()
    said = sampler.phrasing.word(words[sampler.phrasing.language])
    return Conversation(task, (Say(said, Shown(scene), Shown(scene, effect), task),))
