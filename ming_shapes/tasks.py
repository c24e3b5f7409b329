"""Conversations about scenes, as data: what the user shows and says, and the right answer.

Every task that is examined is one function here. Training and evaluation draw from the same
functions, with other scenes and other phrasings (`SceneStyle`, `Phrasing`); training has more.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from ming_core.univision.prompt import region_prompt

from .edits import COPY, RESTORE, EditMaker, EditStep
from .prompts import Spec, counted, draw_order, related, say_spec, settled, spec_of
from .questions import (
    Question,
    any_question,
    describe_request,
    description,
)
from .render import Effect
from .scene import Scene, SceneMaker, SceneStyle, Thing
from .wear import Wear
from .words import Phrasing


@dataclass(frozen=True)
class Shown:
    """A picture: a scene, what was done to it, and which thing is marked; and, where words that
    pointed at a thing of the picture before led to it, that thing as it was there. A given picture
    may be worn."""

    scene: Scene
    effect: Effect = Effect.NONE
    marked: int = 0
    meant: Thing | None = None
    wear: Wear | None = field(default=None, repr=False)


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
    plain: str = ""  # the same in the plainest words, where people's are others

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


def draw_one(sampler: TaskSampler) -> Conversation:
    """Draw one thing."""
    return _drawn(sampler, sampler.maker.scene(1))


def draw_two(sampler: TaskSampler) -> Conversation:
    """Draw two things."""
    return _drawn(sampler, sampler.maker.scene(2))


def draw_counted(sampler: TaskSampler) -> Conversation:
    """Draw several alike things."""
    scene, spec = counted(sampler.maker)
    return drawn_to_spec("counting", sampler, scene, spec)


def draw_related(sampler: TaskSampler) -> Conversation:
    """Draw two things in a relation."""
    scene, spec = related(sampler.maker)
    return drawn_to_spec("position", sampler, scene, spec)


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
        turns.append(asked_turn(asked, given))
        given = None
    return Conversation("ask", tuple(turns))


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
    turn = Say(step.words, edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("edit", (turn,))


def region_then_edit(sampler: TaskSampler) -> Conversation:
    """Show the region an edit concerns, then edit."""
    scene = sampler.scene()
    step, index = edit_of_a_thing(sampler, scene)
    region = Shown(scene, Effect.MARK, index, scene.things[index])
    asked = Say(region_prompt(step.words), region, Shown(scene), "region", edit=step)
    done = Say(step.words, edited(scene, step), None, step.kind, edit=step)
    return Conversation("region", (asked, done))


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
        turns.append(asked_turn(asked, None))
    edits = chain_from(sampler, scene, sampler.rng.randint(1, 2)).turns
    turns += [replace(turn, given=None) for turn in edits]
    return Conversation("draw_then_edit", tuple(turns))


def chain_from(sampler: TaskSampler, scene: Scene, length: int) -> Conversation:
    """Edit a given scene `length` times."""
    turns: list[Say] = []
    given: Shown | None = Shown(scene)
    for _ in range(length):
        step = sampler.edits.any_edit(scene)
        turns.append(Say(step.words, edited(scene, step), given, step.kind, edit=step))
        scene, given = step.after, None
    return Conversation("chain", tuple(turns))


def edit_of_a_thing(sampler: TaskSampler, scene: Scene) -> tuple[EditStep, int]:
    while True:
        step = sampler.edits.any_edit(scene)
        if step.index is not None:
            return step, step.index


def edited(scene: Scene, step: EditStep) -> Shown:
    return Shown(step.after, meant=None if step.index is None else scene.things[step.index])


def _drawn(sampler: TaskSampler, scene: Scene, openness: float = 0.3) -> Conversation:
    spec = spec_of(scene, sampler.rng, openness=0.0 if sampler.is_plain else openness)
    return drawn_to_spec(spec.kind, sampler, scene, spec)


def asked_turn(asked: Question, given: Shown | None) -> Say:
    return Say(asked.words, asked.answer, given, asked.kind, meant=asked.meant)


def drawn_to_spec(kind: str, sampler: TaskSampler, scene: Scene, spec: Spec) -> Conversation:
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
