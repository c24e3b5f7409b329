"""Lessons: tasks that are practised and never examined, and all that training practises by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ming_shapes.edits import KEEP, SEGMENT
from ming_shapes.prompts import counted, related
from ming_shapes.questions import COMPARING, POINTING, question
from ming_shapes.scene import CELLS, Scene
from ming_shapes.tasks import (
    Conversation,
    Say,
    Shown,
    TaskSampler,
    ask,
    asked_turn,
    chain_from,
    colourise,
    copy,
    describe,
    draw_counted,
    draw_one,
    draw_related,
    draw_then_edit,
    draw_two,
    drawn_to_spec,
    edit,
    edit_chain,
    edit_of_a_thing,
    edited,
    region_then_edit,
    sharpen,
)

QUIZ = 5  # questions of a quiz
COMPARED = 0.7  # share of quizzes that compare
ALIKE = 0.6  # share of those about things of which two have one shape
REDRAWN = ("move", "replace", "resize", "outline", "fill")  # edits that go wrong most often
REDRAWN_FIRST = ("recolour", "reshape", "replace", "resize")  # of a thing that stays where it is


def draw_four(sampler: TaskSampler) -> Conversation:
    """Draw four alike things: of all numbers the one most often missed."""
    scene, spec = counted(sampler.maker, fewest=4)
    return drawn_to_spec("counting", sampler, scene, spec)


def draw_inside(sampler: TaskSampler) -> Conversation:
    """Draw one thing inside another: one relation of five is the hardest."""
    scene, spec = related(sampler.maker, ("inside",))
    return drawn_to_spec("position", sampler, scene, spec)


def quiz(sampler: TaskSampler) -> Conversation:
    """Ask many questions about one of many things (decision 0021).

    Of things no two of which are alike, no number but zero and one is ever asked for by shape.
    """
    kinds = COMPARING if sampler.rng.random() < COMPARED else POINTING
    is_alike = kinds is COMPARING and sampler.rng.random() < ALIKE
    scene = alike(sampler) if is_alike else unlike(sampler)
    given: Shown | None = Shown(scene)
    turns: list[Say] = []
    for _ in range(QUIZ):
        asked = question(sampler.phrasing, scene, sampler.rng.choice(kinds), sampler.style)
        turns.append(asked_turn(asked, given))
        given = None
    return Conversation("quiz", tuple(turns))


def unlike(sampler: TaskSampler) -> Scene:
    """Return a scene of several things, no two of one shape: which is meant, its shape says."""
    while True:
        scene = sampler.maker.scene(max(2, sampler.most_things))
        if len({thing.shape for thing in scene.things}) == len(scene.things):
            return scene


def alike(sampler: TaskSampler) -> Scene:
    """Return a scene of several things, two of one shape but not of one colour."""
    while True:
        scene = sampler.maker.scene(max(2, sampler.most_things))
        kinds = {(thing.shape, thing.colour) for thing in scene.things}
        if len(kinds) == len(scene.things) > len({shape for shape, _ in kinds}):
            return scene


def edit_one(sampler: TaskSampler) -> Conversation:
    """Edit one of many things (decision 0021)."""
    scene = unlike(sampler)
    step, _ = edit_of_a_thing(sampler, scene)
    turn = Say(step.words, edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("edit_one", (turn,))


def redraw(sampler: TaskSampler) -> Conversation:
    """Edit a given picture in a way that draws a thing anew."""
    scene = sampler.scene()
    step = sampler.edits.any_edit(scene, REDRAWN)
    turn = Say(step.words, edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("redraw", (turn,))


def redraw_first(sampler: TaskSampler) -> Conversation:
    """Edit a thing of the first place (training/README.md).

    Everything about it must be known before the first patch, with no patch to think over it.
    """
    while True:
        scene = sampler.scene()
        step = sampler.edits.any_edit(scene, REDRAWN_FIRST)
        assert step.index is not None  # noqa: S101  all of these are about a thing
        if scene.things[step.index].cell == CELLS[0]:
            break
    turn = Say(step.words, edited(scene, step), Shown(scene), step.kind, edit=step)
    return Conversation("redraw_first", (turn,))


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


def _segmented(sampler: TaskSampler, scene: Scene, index: int) -> Say:
    meant = scene.things[index]
    alone = Shown(Scene("black", (replace(meant, colour="white"),)), meant=meant)
    words = sampler.edits.say(
        SEGMENT[sampler.phrasing.language], {"it": sampler.edits.point(scene, index)}
    )
    return Say(words, alone, Shown(scene), "segment")


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
