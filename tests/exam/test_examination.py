"""The examination's eyes and marks: no right answer is taken for wrong, no wrong one for right."""

import math
from dataclasses import replace
from random import Random

import pytest

from ming_cli.__main__ import main
from ming_exam import changes, prompts, questions
from ming_exam.answers import ACROSS, COLOURS, DOWN, NUMBERS, YES, ground_said, said, things_said
from ming_exam.colours import COMMON, REGIONS, is_called, some_colour
from ming_exam.examination import Case, cases_of, figures_of
from ming_exam.expectations import PLACES, RELATIONS, Expected, Wanted, is_at
from ming_exam.papers import ASPECTS, PAPERS
from ming_exam.scene import SHAPES, Scene, Thing, as_jpeg, draw, some_scene
from ming_exam.sight import Seen, View, look

PICTURES = 573
GREY = (128, 128, 128)


def test_eyes_err_on_none_of_many_pictures():
    random = Random(1)
    for number in range(PICTURES):
        scene = some_scene(random, random.choice((1, 2, 3, 4)), aspect=random.choice(ASPECTS))
        picture = draw(scene, random.choice((96, 200, 320)))
        if number % 3 == 0:
            picture = as_jpeg(draw(scene, 320), 70)
        view = look(picture)
        assert is_called(view.ground, scene.ground)
        assert len(view.things) == len(scene.things)
        for thing in scene.things:
            near = min(view.things, key=lambda s, t=thing: math.dist((s.x, s.y), (t.x, t.y)))
            assert near.shape == thing.shape
            assert is_called(near.colour, thing.name)
            assert math.dist((near.x, near.y), (thing.x, thing.y)) < 0.03
            assert abs(near.radius - thing.radius) < 0.04  # tips are faint


def test_everybody_calls_a_colour_of_the_core_so_and_nothing_else_common():
    random = Random(2)
    for name in COMMON * 30:
        colour = some_colour(name, random)
        assert [other for other in COMMON if is_called(colour, other)] == [name]
    assert not any(is_called(GREY, name) for name in REGIONS if name != "grey")


def scene_of(expected: Expected) -> Scene:
    """A scene that is as expected; open things are settled somehow."""
    random = Random(3)
    free = [
        name
        for name in COMMON
        if name not in {expected.ground, *(w.colour for w in expected.things)}
    ]
    spots = [(0.2, 0.2), (0.8, 0.8), (0.2, 0.8), (0.8, 0.2)]
    if expected.relation is not None:
        axis, sign = RELATIONS[expected.relation]
        along = [(0.25, 0.5), (0.75, 0.5)] if axis == 0 else [(0.5, 0.25), (0.5, 0.75)]
        spots = along if sign > 0 else along[::-1]
    things = []
    for index, wanted in enumerate(expected.things):
        x, y = spots[index]
        if wanted.place is not None:
            x, y = ((third or 0) / 3 + 1 / 6 for third in PLACES[wanted.place])
        radius = {None: 0.13, "small": 0.1, "large": 0.16}[wanted.size]
        name = wanted.colour or free[-1]
        things.append(Thing(wanted.shape, name, some_colour(name, random), x, y, radius))
    ground = expected.ground or free[0]
    return Scene(ground, some_colour(ground, random), tuple(things))


@pytest.mark.parametrize("kind", prompts.KINDS)
def test_what_is_as_asked_is_right_and_anything_else_wrong(kind: str):
    for number in range(30):
        words, expected = prompts.KINDS[kind](Random(number))
        scene = scene_of(expected)
        assert expected.is_met(look(draw(scene))), words
        thing = scene.things[0]
        other = next(shape for shape in SHAPES if shape != thing.shape)
        wrong = [
            replace(scene, things=scene.things[1:]),
            replace(scene, things=(replace(thing, shape=other), *scene.things[1:])),
        ]
        if expected.ground is not None:
            wrong.append(replace(scene, colour=GREY))
        if expected.things[0].colour is not None:
            wrong.append(replace(scene, things=(replace(thing, colour=(250, 150, 190)),)))
        if expected.things[0].place is not None:
            moved = replace(thing, x=(thing.x + 0.34) % 1)
            wrong.append(replace(scene, things=(moved, *scene.things[1:])))
        if expected.relation is not None:
            ends = [
                replace(t, x=o.x, y=o.y)
                for t, o in zip(scene.things, scene.things[::-1], strict=True)
            ]
            wrong.append(replace(scene, things=tuple(ends)))
        for picture in wrong:
            assert not expected.is_met(look(draw(picture))), words


def test_a_thing_is_matched_once():
    two_stars = Expected((Wanted("star"), Wanted("star", "red")))
    star = Thing("star", "red", some_colour("red", Random(4)), 0.25, 0.25, 0.15)
    blue = replace(star, colour=some_colour("blue", Random(4)), x=0.75)
    ground = some_colour("white", Random(4))
    assert two_stars.is_met(look(draw(Scene("white", ground, (star, blue)))))
    assert not two_stars.is_met(look(draw(Scene("white", ground, (blue, replace(blue, x=0.25))))))


def test_a_place_has_some_slack_and_a_relation_runs_along_its_axis():
    for x, places in ((0.26, {"left"}), (0.3, {"left", "middle"}), (0.4, {"middle"})):
        thing = Seen("star", GREY, x, 0.5, 0.1)
        assert {place for place in PLACES if is_at(thing, place)} == places
        mirrored = {{"left": "right"}.get(place, place) for place in places}
        thing = replace(thing, x=1 - x)
        assert {place for place in PLACES if is_at(thing, place)} == mirrored
    beside = Expected((Wanted("star"), Wanted("heart")), relation="left of")
    star, heart = Seen("star", GREY, 0.3, 0.5, 0.1), Seen("heart", GREY, 0.6, 0.5, 0.1)
    for y, is_met in ((0.5, True), (0.3, True), (0.95, False)):
        assert beside.is_met(View(GREY, (star, replace(heart, y=y)))) == is_met


def test_one_thing_too_many_is_wrong():
    star, heart = Seen("star", GREY, 0.3, 0.5, 0.1), Seen("heart", GREY, 0.6, 0.5, 0.1)
    assert Expected((Wanted("star"),)).is_met(View(GREY, (star,)))
    assert not Expected((Wanted("star"),)).is_met(View(GREY, (star, heart)))
    assert not Expected(()).is_met(View(GREY, (star,)))


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (changes.Change("larger", "star"), {"radius": 0.13}),
        (changes.Change("smaller", "star"), {"radius": 0.08}),
        (changes.Change("recolour", "star", "red"), {"colour": (220, 20, 30)}),
        (changes.Change("replace", "star", "heart"), {"shape": "heart"}),
        (changes.Change("remove", "star"), None),
    ],
)
def test_an_edit_that_does_more_than_was_asked_is_wrong(change, made):
    star, circle = Seen("star", GREY, 0.3, 0.3, 0.1), Seen("circle", GREY, 0.7, 0.7, 0.1)
    before = View((250, 250, 250), (star, circle))
    if made is None:
        assert change.is_made(before, View(before.ground, (circle,)))
        assert not change.is_made(before, before)
        return
    new = replace(star, **made)
    assert change.is_made(before, View(before.ground, (new, circle)))
    for wrong in (
        (replace(new, x=0.5), circle),
        (replace(new, shape="cross"), circle),
        (new, circle, circle),
        (new, replace(circle, x=0.5)),
        (new,),
    ):
        assert not change.is_made(before, View(before.ground, wrong))
    assert not change.is_made(before, View((20, 20, 200), (new, circle)))


@pytest.mark.parametrize(
    ("text", "words", "names"),
    [
        ("It is blue.", COLOURS, ["blue"]),
        ("Gray, I think", COLOURS, ["grey"]),
        ("two stars, then 3", NUMBERS, ["2", "3"]),
        ("没有", YES, ["no"]),
        ("有", YES, ["yes"]),
        ("不是", YES, ["no", "no"]),
        ("at the upper left", ACROSS, ["left"]),
        ("在右下角", DOWN, ["bottom"]),
    ],
)
def test_answers_are_read(text: str, words: dict[str, tuple[str, ...]], names: list[str]):
    assert said(text, words) == names


def test_descriptions_are_read():
    text = "A small blue triangle at the top, a red star, on a green background."
    assert things_said(text) == [("blue", "triangle"), ("red", "star")]
    assert things_said("A red star above a heart.") == [("red", "star")], "a colour counts once"
    assert ground_said(text) == "green"
    assert ground_said("绿色的背景上有一个蓝色的圆形。") == "green"
    whole = questions.Whole("green", (("red", "star"), ("blue", "triangle")))
    assert whole.is_given(text)
    assert not whole.is_given(text.replace("green", "white"))
    assert not whole.is_given(text.replace("a red star, ", ""))
    assert not whole.is_given(text.replace("red star", "red heart"))


@pytest.mark.parametrize("kind", questions.KINDS)
def test_right_answers_are_right_in_their_language_alone(kind: str):
    for number in range(20):
        random = Random(number)
        scene = some_scene(random, 2)
        _, answer = questions.KINDS[kind](random, scene)
        tables = {"colour": prompts.ZH_COLOURS, "shape": prompts.ZH_SHAPES}
        chinese = {"yes": "有", "no": "没有", "2": "两个", "left": "左", "right": "右"}
        chinese |= {"top": "上", "bottom": "下"}
        table = tables.get(answer.kind, chinese)
        in_chinese = "、".join(table[word] for word in answer.right) or "中间"
        in_english = " ".join(answer.right) or "in the middle"
        assert answer.is_given(in_chinese) == answer.in_chinese
        assert answer.is_given(in_english) != answer.in_chinese
        assert not answer.is_given("")
        wrong = {"colour": "pink", "shape": "moon", "number": "5", "place": "left right"}
        assert not answer.is_given(wrong.get(answer.kind, "maybe"))


def done(scene: Scene, change: changes.Change) -> Scene:
    """A scene as it should be after a change."""
    random = Random(5)
    if change.kind == "background":
        return replace(scene, ground=change.to, colour=some_colour(change.to, random))
    if change.kind == "add":
        name, shape, place = change.to.split("/")
        x, y = ((third or 0) / 3 + 1 / 6 for third in PLACES[place])
        new = Thing(shape, name, some_colour(name, random), x, y, 0.1)
        return replace(scene, things=(*scene.things, new))
    old = next(thing for thing in scene.things if thing.shape == change.shape)
    left = tuple(thing for thing in scene.things if thing is not old)
    if change.kind == "remove":
        return replace(scene, things=left)
    if change.kind == "move":
        x, y = ((third or 0) / 3 + 1 / 6 for third in PLACES[change.to])
        return replace(scene, things=(*left, replace(old, x=x, y=y)))
    new = {
        "recolour": lambda: replace(old, colour=some_colour(change.to, random)),
        "replace": lambda: replace(old, shape=change.to),
        "larger": lambda: replace(old, radius=old.radius * 1.3),
        "smaller": lambda: replace(old, radius=old.radius / 1.3),
    }[change.kind]()
    return replace(scene, things=(*left, new))


@pytest.mark.parametrize("kind", changes.KINDS)
def test_an_edit_is_right_if_it_is_made_and_nothing_else_is(kind: str):
    for number in range(20):
        random = Random(number)
        scene = some_scene(random, 2)
        before = look(draw(scene))
        words, change = changes.KINDS[kind](random, before)
        edited = done(scene, change)
        assert change.is_made(before, look(draw(edited))), words
        assert not change.is_made(before, before), words
        other = next(i for i, t in enumerate(edited.things) if t.shape != change.shape)
        strayed = replace(edited.things[other], radius=edited.things[other].radius / 2)
        things = (*edited.things[:other], strayed, *edited.things[other + 1 :])
        assert not change.is_made(before, look(draw(replace(edited, things=things)))), words


def test_figures_leave_out_what_does_not_count():
    cases = [Case("ask", kind, n, 0) for n, kind in enumerate(("colour", "colour", "number"))]
    figures = figures_of(cases, [1.0, None, 0.0])["ask"]
    assert figures == {"all": 0.5, "cases": 2, "worst": 0, "colour": 1, "number": 0}


def test_cases_are_alike_for_a_seed_and_asked_for_by_number():
    assert cases_of("draw", 1, 2) == cases_of("draw", 1, 2) != cases_of("draw", 2, 2)
    assert len(cases_of("draw", 1, 2)) == 2 * len(prompts.KINDS)
    assert len(cases_of("ask", 1)) > len(cases_of("ask", 1, is_quick=True)) > 0


def test_every_part_is_sat_by_the_bundled_model(capsys: pytest.CaptureFixture[str]):
    parts = [*PAPERS]
    options = ["--outside", "--cases", "1", "--steps", "2", "--processes", "1"]
    code = main(["eval", *options, "--only", *parts])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[: len(parts)]] == parts
