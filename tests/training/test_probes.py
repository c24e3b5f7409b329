"""What the training's probes ask: of every patch what it shows, of words what they are about."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from ming_shapes.render import Effect, pack, render
from ming_shapes.scene import ALL_COLOURS, SHAPES, SIZES, Scene, Thing, can_be_hollow, placed
from ming_shapes.tasks import Shown


def test_a_patch_is_asked_what_is_still_to_be_drawn(model):
    """Counted from the first patch that shows a thing, and none of it said of the features."""
    from training.probes import HEADS, Probes
    from training.teacher import encode

    size = SIZES["small"]
    first, second = (
        placed(Thing(shape, "red", "small", 0, 0, size), cell)
        for shape, cell in (("square", (2, 2)), ("circle", (0, 0)))
    )
    shown = [
        Shown(Scene("blue", (first, second)), Effect.MARK, marked=0),
        Shown(Scene("blue", (first, second))),
        Shown(Scene("blue")),
    ]
    truth = encode(model.parts, shown, 96, is_drawn=True).truth
    left = truth["left"]
    assert left[0].tolist() == [1] * 28 + [0] * 8
    assert torch.equal(left[0], left[1])
    assert not left[2].any()
    assert truth["marked"][0].nonzero().flatten().tolist() == [28, 29, 34, 35]
    assert not truth["marked"][1:].any()
    features = encode(model.parts, shown, 96, is_drawn=True).features
    assert set(Probes(features.shape[-1])(features)) == set(HEADS)
    assert "left" not in HEADS, "features must not tell what comes later (decision 0022)"


def test_each_of_the_four_patches_of_any_thing_belongs_to_it():
    from training.probes import patch_truth

    for shape, size, is_outlined in itertools.product(SHAPES, SIZES, (False, True)):
        thing = Thing(shape, "red", size, 0, 0, SIZES[size], is_outlined)
        if is_outlined and not can_be_hollow(thing):
            continue
        tensors = pack([Scene("blue", (placed(thing, (1, 2)),))])
        where = patch_truth(tensors, render(tensors), 6)["is_thing"].nonzero()[:, 1].tolist()
        assert where == [16, 17, 22, 23], thing


def test_where_one_thing_lies_inside_another_both_are_asked_for():
    """The inner one covers less of each patch: the heads of things ask for the outer one alone."""
    from training.probes import DRAWING_HEADS, patch_truth, probe_loss

    outer = placed(Thing("square", "red", "large", 0, 0, SIZES["large"]), (1, 1))
    beside = placed(Thing("circle", "white", "small", 0, 0, SIZES["small"]), (0, 0))
    outers = [replace(outer, is_outlined=k % 2 == 0) for k in range(len(SHAPES))]
    inners = [placed(replace(beside, shape=s), (1, 1)) for s in SHAPES]
    scenes = [Scene("blue", pair) for pair in zip(outers, inners, strict=True)]
    tensors = pack([*scenes, Scene("blue", (outer, beside))])
    truth = patch_truth(tensors, render(tensors), 6)
    where = [rows.nonzero().flatten().tolist() for rows in truth["has_inner"]]
    assert where == [[14, 15, 20, 21]] * len(SHAPES) + [[]]
    for i, shape in enumerate(SHAPES):
        assert {SHAPES[k] for k in truth["inner_shape"][i, where[i]]} == {shape}
        assert {ALL_COLOURS[k] for k in truth["inner_colour"][i, where[i]]} == {"white"}
        assert {SHAPES[k] for k in truth["shape"][i, where[i]]} == {"square"}

    silent = {name: torch.zeros(1, 36, DRAWING_HEADS[name]) for name in ("inner_shape", "is_thing")}
    of = lambda i: {name: known[i : i + 1] for name, known in truth.items()}  # noqa: E731
    both, one = (float(probe_loss(silent, of(i))) for i in (0, len(SHAPES)))
    assert both - one == pytest.approx(math.log(len(SHAPES)), abs=1e-3), "asked of nests alone"


def test_a_picture_of_nothing_can_be_asked_about(model):
    from training.probes import DRAWING_HEADS, Probes, probe_loss
    from training.teacher import encode

    empty = encode(model.parts, [Shown(Scene("blue"))], 96, is_drawn=True)
    probes = Probes(empty.features.shape[-1], DRAWING_HEADS)
    assert torch.isfinite(probe_loss(probes(empty.features), empty.truth))


def test_a_picture_is_asked_which_thing_was_meant(model):
    """On the patches where it lay before the edit; not asked where nothing was meant."""
    from training.probes import ABOUT_HEADS, DRAWING_HEADS, probe_loss, thing_truth
    from training.teacher import encode

    star = placed(Thing("star", "red", "small", 0, 0, SIZES["small"]), (2, 0))
    moved = Shown(Scene("blue", (placed(star, (0, 2)),)), meant=star)
    meant = encode(model.parts, [moved, Shown(moved.scene)], 96, is_drawn=True).truth["meant"]
    where = meant[0].nonzero().flatten().tolist()
    assert where
    assert all(patch // 6 >= 3 and patch % 6 <= 2 for patch in where), "where it lay before"
    assert (meant[1] == -1).all()

    truth = thing_truth([star], torch.device("cpu"))
    names = ["shape", "colour", "row", "column", "size", "outlined"]
    assert [int(truth[name]) for name in names] == [3, 0, 2, 0, 0, 0]
    assert [*names, "number"] == list(ABOUT_HEADS)

    silent = torch.zeros(2, 36, DRAWING_HEADS["meant"])
    things = {"is_thing": torch.zeros(2, 36)}
    both = probe_loss({"meant": silent}, things | {"meant": meant})
    first = probe_loss({"meant": silent[:1]}, things | {"meant": meant[:1]})
    assert first == both == pytest.approx(0.6931, abs=1e-3)


def test_what_words_are_about_is_counted_and_named_where_it_is_one():
    from training.probes import ABOUT_HEADS, about_loss, thing_truth

    star = placed(Thing("star", "red", "small", 0, 0, SIZES["small"]), (2, 0))
    about = [(star,), (), (star, star)]
    right = {name: torch.full((3, size), -9.0) for name, size in ABOUT_HEADS.items()}
    for name, known in thing_truth([star], torch.device("cpu")).items():
        if ABOUT_HEADS.get(name, 1) > 1:  # the star is filled, as all that was set says
            right[name][0, known] = 9.0
    right["number"][[0, 1, 2], [1, 0, 2]] = 9.0
    assert about_loss(right, about) < 0.01
    for name in ABOUT_HEADS:
        wrong = right | {name: -right[name]}
        assert about_loss(wrong, about) > 1, name
    only = {name: said[1:] for name, said in right.items()}
    assert about_loss(only, about[1:]) < 0.01


def test_more_than_can_be_counted_is_many(model):
    from training.probes import DRAWING_HEADS
    from training.teacher import encode

    cells = [(row, column) for row in (0, 1) for column in (0, 1, 2)]
    things = [placed(Thing("star", "red", "small", 0, 0, SIZES["small"]), cell) for cell in cells]
    left = encode(model.parts, [Shown(Scene("blue", tuple(things)))], 96, is_drawn=True).truth[
        "left"
    ]
    assert len(things) > DRAWING_HEADS["left"] - 1 == left[0, 0]
