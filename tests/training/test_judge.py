"""The judge reads rendered truth, and is not fooled by wrong pictures."""

import random
from dataclasses import replace

import numpy as np
import pytest

from ming_shapes.edits import EditMaker
from ming_shapes.evaluation.judge import look, overlay
from ming_shapes.evaluation.player import picture_of
from ming_shapes.evaluation.verdict import judge_scene, judge_spec, mean_overlap
from ming_shapes.prompts import draw_order, nested
from ming_shapes.render import Effect
from ming_shapes.scene import COLOURS, SHAPES, SIZES, Scene, SceneMaker, SceneStyle, Thing, placed
from ming_shapes.tasks import (
    Shown,
    TaskSampler,
    draw_counted,
    draw_one,
    draw_related,
    draw_two,
)
from ming_shapes.words import Phrasing
from training.lessons import TASKS

ANYTHING = SceneStyle(outlined=0.25, graded=0.25, combinations="all")
CASES = 100


def scenes(count: int, seed: int = 11) -> list[Scene]:
    rng = random.Random(seed)
    return [SceneMaker(rng, ANYTHING).scene(1 + number % 4) for number in range(count)]


def softened(picture: np.ndarray, spread: float) -> np.ndarray:
    """Blur a picture by a Gaussian of so many pixels."""
    weights = np.exp(-(np.arange(-4, 5) ** 2) / (2 * spread**2))
    result = picture.astype(float)
    for axis in (0, 1):
        wide = np.pad(result, [(4, 4) if a == axis else (0, 0) for a in range(3)], mode="edge")
        parts = [np.take(wide, range(i, i + 96), axis) * w for i, w in enumerate(weights)]
        result = sum(parts) / weights.sum()
    return result.round().astype(np.uint8)


def test_rendered_truth_is_right():
    right = [judge_scene(picture_of(Shown(scene)), scene) for scene in scenes(CASES)]
    assert np.mean(right) >= 0.99


@pytest.mark.parametrize("spread", [0.7, 1.0])
def test_soft_edges_change_nothing(spread: float):
    """A painted edge is softer than a rendered one: no tip of a star and no mixed rim may count."""
    things = [*scenes(CASES), *(s for s in scenes(CASES, 12) if s.things[0].shape == "star")]
    right = [judge_scene(softened(picture_of(Shown(scene)), spread), scene) for scene in things]
    assert np.mean(right) >= 0.98


@pytest.mark.parametrize("task", [draw_one, draw_two, draw_counted, draw_related])
def test_pictures_of_specs_fulfil_them(task):
    rng = random.Random(3)
    turns = [task(TaskSampler(rng, ANYTHING)).turns[0] for _ in range(25)]
    right = [judge_spec(picture_of(turn.answer), turn.spec).everything for turn in turns]
    assert np.mean(right) >= 0.96


def test_one_thing_inside_another_is_seen_as_such():
    """What lies inside makes the other no outline, and a colour beyond the other's is no mix."""
    rng = random.Random(1)
    nests = [
        draw_order(nested(SceneMaker(rng, SceneStyle(combinations="all")))) for _ in range(150)
    ]
    red, orange = (
        Thing("square", "red", "small", 48.0, 48.0, 8.2),
        Thing("circle", "orange", "large", 48.0, 48.0, 15.1),
    )
    nests.append(Scene("yellow", (orange, red)))
    right = [judge_scene(picture_of(Shown(scene)), scene) for scene in nests]
    assert np.mean(right) >= 0.98
    assert right[-1]
    hollow = [scene.with_thing(0, replace(scene.things[0], is_outlined=True)) for scene in nests]
    filled = [scene.with_thing(0, replace(scene.things[0], is_outlined=False)) for scene in nests]
    wrong = [judge_scene(picture_of(Shown(a)), b) for a, b in zip(hollow, filled, strict=True)]
    assert not any(wrong)


@pytest.mark.parametrize("shape", SHAPES)
def test_things_in_all_corners_are_no_background(shape: str):
    for colours in (("black", "white"), ("blue", "yellow")):
        corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
        thing = Thing(shape, colours[1], "large", 0, 0, SIZES["large"])
        scene = Scene(colours[0], tuple(placed(thing, cell) for cell in corners))
        assert judge_scene(picture_of(Shown(scene)), scene)


def test_another_scene_is_wrong():
    pictures = scenes(40)
    wrong = [
        judge_scene(picture_of(Shown(scene)), other)
        for scene, other in zip(pictures, pictures[1:], strict=False)
    ]
    assert not any(wrong)


def test_every_edit_left_undone_is_wrong():
    rng = random.Random(5)
    for number in range(40):
        maker = SceneMaker(rng, ANYTHING)
        scene = maker.scene(1 + number % 3)
        step = EditMaker(maker, Phrasing(rng)).any_edit(scene)
        assert not judge_scene(picture_of(Shown(scene)), step.after), step


@pytest.mark.parametrize("what", ["shape", "colour", "size", "cell", "is_outlined", "none"])
def test_one_wrong_detail_is_seen(what: str):
    scene = next(s for s in scenes(50) if len(s.things) == 1 and s.things[0].size == "large")
    thing = scene.things[0]
    free = [c for c in COLOURS if c not in (thing.colour, scene.background)]
    wrong = {
        "shape": replace(thing, shape=SHAPES[SHAPES.index(thing.shape) - 1]),
        "colour": replace(thing, colour=free[0]),
        "size": replace(thing, size="small", radius=SIZES["small"]),
        "cell": placed(thing, (2 - thing.cell[0], (thing.cell[1] + 1) % 3)),
        "is_outlined": replace(thing, is_outlined=not thing.is_outlined),
        "none": thing,
    }[what]
    picture = picture_of(Shown(scene.with_thing(0, wrong)))
    assert judge_scene(picture, scene) == (what == "none")


def test_noise_and_emptiness_are_wrong():
    scene = scenes(1)[0]
    noise = np.random.RandomState(0).randint(0, 256, (96, 96, 3)).astype(np.uint8)
    assert not judge_scene(noise, scene)
    assert not judge_scene(np.full((96, 96, 3), 255, np.uint8), scene)
    assert mean_overlap(np.full((96, 96, 3), 255, np.uint8), scene) == 0


def test_overlap_of_truth_is_high():
    scores = [mean_overlap(picture_of(Shown(scene)), scene) for scene in scenes(20)]
    assert np.mean(scores) > 0.98


def test_the_overlay_is_found_where_it_is():
    scene = next(s for s in scenes(20) if len(s.things) == 2)
    marked = overlay(picture_of(Shown(scene, Effect.MARK, 1)))
    thing = scene.things[1]
    rows, columns = np.nonzero(marked)
    assert abs(rows.mean() - thing.y) < 4
    assert abs(columns.mean() - thing.x) < 4
    assert not overlay(picture_of(Shown(scene))).any()


def test_purple_and_red_are_no_overlay():
    for scene in scenes(30):
        assert overlay(picture_of(Shown(scene))).sum() == 0


def test_all_tasks_can_be_pictured():
    rng = random.Random(2)
    for task in TASKS.values():
        for turn in task(TaskSampler(rng)).turns:
            for shown in (turn.given, turn.answer):
                if isinstance(shown, Shown):
                    assert look(picture_of(shown)) is not None
