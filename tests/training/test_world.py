"""The drawn world: the same scenes give the same pixels, and held out means held out."""

import hashlib
import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from ming_shapes.prompts import PAPERS, Spec, related, settled, spec_of
from ming_shapes.questions import COMPARING, conclusion, description
from ming_shapes.render import RGB, Effect, pack, render
from ming_shapes.scene import (
    ALL_COLOURS,
    CELLS,
    CENTRES,
    COLOURS,
    SHAPES,
    SIZES,
    Scene,
    SceneMaker,
    SceneStyle,
    Thing,
    is_apart,
    is_held_out,
    placed,
)
from ming_shapes.tasks import Conversation, Shown, TaskSampler, ask, draw_two
from ming_shapes.words import Mention, Phrasing, fits
from training.curriculum import CURRICULA
from training.lessons import QUIZ, REDRAWN, TASKS
from training.rich_pictures import rich_scenes


def conversations(seed: int, count: int = 120, **specs) -> list[Conversation]:
    rng = random.Random(seed)
    tasks = list(TASKS.values())
    return [tasks[number % len(tasks)](TaskSampler(rng, **specs)) for number in range(count)]


def scenes_of(conversation: Conversation) -> list[Scene]:
    shown = [s for turn in conversation.turns for s in (turn.given, turn.answer)]
    return [s.scene for s in shown if isinstance(s, Shown)]


def test_conversations_are_those_that_the_bundled_model_learnt():
    """A renamed value is spelt into no seed: what a spec leaves open is drawn as it always was."""
    told = [turn.words for c in conversations(1) for turn in c.turns]
    shown = [str(scene) for c in conversations(1) for scene in scenes_of(c)]
    digest = hashlib.sha256("\n".join(told + shown).encode()).hexdigest()
    assert digest.startswith("55a0f815ad01ab79")


def test_the_same_seed_gives_the_same_conversations_and_pixels():
    first, second = conversations(1), conversations(1)
    assert first == second
    scenes = [scene for c in first for scene in scenes_of(c)][:40]
    assert torch.equal(render(pack(scenes)).pixels, render(pack(scenes)).pixels)
    assert conversations(2) != first


def test_pictures_do_not_depend_on_their_neighbours():
    scenes = [scene for c in conversations(1) for scene in scenes_of(c)][:12]
    together = render(pack(scenes)).pixels
    for number, scene in enumerate(scenes):
        alone = render(pack([scene])).pixels[0]
        assert torch.allclose(alone, together[number], atol=1e-6)


def test_edges_are_smooth():
    scene = Scene("white", (Thing("circle", "black", "large", 48.3, 48.1, 17.0),))
    pixels = render(pack([scene])).pixels
    assert ((pixels > -0.7) & (pixels < 0.8)).float().mean() > 0.005


def test_training_never_shows_a_held_out_combination():
    for conversation in conversations(3, 300):
        for scene in scenes_of(conversation):
            if conversation.task in ("segment",):
                continue  # a mask is white on black whatever the thing was
            assert not any(is_held_out(t.shape, t.colour) for t in scene.things), conversation


def test_evaluation_shows_held_out_combinations_alone():
    maker = SceneMaker(random.Random(0), SceneStyle(combinations="held_out"))
    things = [thing for _ in range(30) for thing in maker.scene(2).things]
    assert all(is_held_out(thing.shape, thing.colour) for thing in things)


def test_training_never_asks_for_a_held_out_combination():
    """Nor does it ask whether there is one: that the answer is always no is soon learnt."""
    rare = [f" {c} {shape}" for shape in SHAPES for c in COLOURS if is_held_out(shape, c)]
    rng = random.Random(5)
    asked = [ask(TaskSampler(rng, chinese=0.0)) for _ in range(800)]
    for conversation in [*conversations(5, 600, chinese=0.0), *asked]:
        for turn in conversation.turns:
            assert not any(words in turn.words for words in rare), turn.words


def test_training_has_more_colours_than_evaluation():
    def colours(style: SceneStyle) -> set[str]:
        made = conversations(6, 300, style=style)
        scenes = [scene for conversation in made for scene in scenes_of(conversation)]
        things = {thing.colour for scene in scenes for thing in scene.things}
        return things | {scene.background for scene in scenes}

    assert colours(SceneStyle()) == {*COLOURS, PAPERS[0]}  # where no background is asked for
    for phases in CURRICULA.values():
        assert all(colours(phase.style) == set(ALL_COLOURS) for phase in phases)


def test_the_tokenizer_never_sees_a_held_out_combination_in_any_tint():
    scenes = rich_scenes(400, torch.Generator().manual_seed(2))
    rgb = torch.tensor(RGB)
    seen = rgb[scenes.colour] + scenes.tint[:, :-1]
    nearest = torch.cdist(seen.flatten(0, 1), rgb).argmin(-1).view_as(scenes.colour)
    assert (scenes.tint != 0).any()
    assert torch.equal(nearest, scenes.colour)
    for shape, colour in zip(scenes.shape.flatten(), nearest.flatten(), strict=True):
        assert shape < 0 or not is_held_out(SHAPES[shape], ALL_COLOURS[colour])


def test_the_tokenizer_sees_things_inside_others_on_the_points_of_the_world_and_anywhere():
    scenes = rich_scenes(600, torch.Generator().manual_seed(3))
    first, second = scenes.place[:, 0], scenes.place[:, 1]
    is_inside = (first[:, :2] == second[:, :2]).all(-1) & (scenes.shape[:, 1] >= 0)
    is_inside &= (first[:, 2] == SIZES["large"]) & (second[:, 2] == SIZES["small"])
    assert 0.08 < is_inside.float().mean() < 0.25
    is_point = torch.isin(scenes.place[:, 2:, :2], torch.tensor(CENTRES)).flatten(1).all(1)
    assert 0.15 < is_point.float().mean() < 0.35


def test_some_of_every_shape_is_held_out_and_most_is_not():
    for shape in SHAPES:
        rare = [c for c in COLOURS if is_held_out(shape, c)]
        assert len(rare) == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_phrasings_of_evaluation_are_not_those_of_training(language: str):
    lists = (["a", "b", "c", "d", "e"], ["1", "2", "3"])
    rng = random.Random(0)

    def said(*, is_held_out: bool) -> set[str]:
        phrasing = Phrasing(rng, language, is_held_out)
        return {"".join(phrasing.pick(*lists)) for _ in range(300)}

    trained, held_out = said(is_held_out=False), said(is_held_out=True)
    assert not trained & held_out
    assert len(held_out) == 3
    assert len(trained | held_out) == 15


def test_descriptions_say_everything_about_a_scene():
    """Different scenes (up to a few pixels) have different descriptions, in both languages."""
    rng = random.Random(4)
    seen: dict[str, tuple] = {}
    for _ in range(200):
        scene = SceneMaker(rng, SceneStyle(0.3, 0.3, "all")).scene(2)
        facts = (
            scene.background,
            scene.gradient > 0,
            frozenset((t.shape, t.colour, t.size, t.cell, t.is_outlined) for t in scene.things),
        )
        for language in ("en", "zh"):
            text = description(scene, language)
            assert seen.setdefault(text, facts) == facts
            assert text.isascii() == (language == "en")


def a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def test_lessons_of_many_things_ask_about_one_of_them_and_their_answers_are_true():
    counts = {"yes": 0, "no": 0}
    hidden = {"colour": "colour", "size": "size"}
    numbers: Counter[str] = Counter()
    for seed in range(200):
        conversation = TASKS["quiz"](TaskSampler(random.Random(seed), chinese=0.0, is_plain=True))
        things = scenes_of(conversation)[0].things
        assert len(things) == len({(t.shape, t.colour) for t in things}) == 3
        is_comparing = all(turn.kind in COMPARING for turn in conversation.turns)
        assert is_comparing or len({t.shape for t in things}) == 3
        assert len(conversation.turns) == QUIZ
        for turn in conversation.turns:
            asked = turn.words.lower().strip("?").split()
            answer = conclusion(turn.answer)
            if turn.kind not in ("how_many", "is_there"):
                meant = next(t for t in things if t.shape in asked)
                if turn.kind in hidden:
                    assert answer == getattr(meant, hidden[turn.kind])
                continue
            seen = turn.answer.lower().split(": ")[0].split(", ")
            assert sorted(seen) == sorted(f"{a(t.colour)} {t.shape}" for t in things)
            if turn.kind == "how_many":
                is_any = asked[2] == "objects"
                number = sum(is_any or asked[2].startswith(t.shape) for t in things)
                assert answer == ("zero", "one", "two", "three")[number], turn
                numbers[answer] += not is_any
                continue
            colour = next((c for c in COLOURS if c in asked), None)
            is_true = any(t.shape == asked[-1] and colour in (None, t.colour) for t in things)
            assert answer == ("yes" if is_true else "no"), turn
            counts[answer] += 1
    assert min(numbers[word] for word in ("zero", "one", "two")) > 20, "none of them is the rule"
    assert min(counts.values()) > 0.3 * sum(counts.values()) > 30


def test_an_edit_of_one_of_many_things_changes_that_one():
    for seed in range(60):
        (turn,) = TASKS["edit_one"](TaskSampler(random.Random(seed))).turns
        before, after = turn.given.scene.things, turn.edit.after.things
        assert len({t.shape for t in before}) == len(before) == 3
        assert before[turn.edit.index] not in after
        assert len(set(before) & set(after)) == 2


def test_what_is_cut_out_is_what_was_segmented_before():
    for seed in range(60):
        segmented, kept = TASKS["matting"](TaskSampler(random.Random(seed))).turns
        thing = kept.answer.meant
        assert thing in segmented.given.scene.things
        assert segmented.answer.scene == Scene("black", (replace(thing, colour="white"),))
        assert kept.given is None
        assert kept.answer.scene == Scene("white", (thing,))
        assert thing.colour != "white"


def test_a_restored_picture_is_edited_in_the_context_that_restored_it():
    effects = set()
    for seed in range(60):
        restored, *edits = TASKS["restore_then_edit"](TaskSampler(random.Random(seed))).turns
        effects.add(restored.given.effect)
        assert restored.answer.scene == restored.given.scene
        assert 1 <= len(edits) <= 2
        assert all(turn.given is None for turn in edits)
        assert edits[0].answer.scene != restored.answer.scene
    assert effects == {Effect.BLUR, Effect.SMALL, Effect.GREY}


def test_lessons_of_things_drawn_anew_are_edits_of_a_thing():
    kinds = [TASKS["redraw"](TaskSampler(random.Random(seed))).turns[0].kind for seed in range(300)]
    assert set(kinds) == set(REDRAWN)


def test_lessons_of_the_first_place_are_of_things_that_lie_there():
    for seed in range(60):
        (turn,) = TASKS["redraw_first"](TaskSampler(random.Random(seed))).turns
        before, after = turn.given.scene.things, turn.answer.scene.things
        (changed,) = (a for a, b in zip(before, after, strict=True) if a != b)
        assert changed == turn.answer.meant
        assert changed.cell == (0, 0)


def test_lessons_of_one_thing_inside_another_are_nothing_else():
    for seed in range(30):
        (turn,) = TASKS["draw_inside"](TaskSampler(random.Random(seed))).turns
        outer, inner = turn.answer.scene.things
        assert turn.spec.relation == "inside"
        assert (outer.x, outer.y) == (inner.x, inner.y)
        assert (outer.size, inner.size) == ("large", "small")


def test_lessons_of_four_things_are_nothing_else():
    for seed in range(30):
        (turn,) = TASKS["draw_four"](TaskSampler(random.Random(seed))).turns
        assert len(turn.answer.scene.things) == turn.spec.mentions[0].number == 4


def test_what_a_spec_leaves_open_is_always_drawn_alike():
    rng = random.Random(8)
    turns = [draw_two(TaskSampler(rng, SceneStyle(graded=0.4))).turns[0] for _ in range(300)]
    grounds, layouts = set(), set()
    for turn in turns:
        scene, mentions = turn.answer.scene, turn.spec.mentions
        assert scene.gradient in (0, 2)
        assert scene.background not in {thing.colour for thing in scene.things}
        assert all(is_apart(a, b) for a, b in itertools.combinations(scene.things, 2))
        orders = [
            order
            for order in itertools.permutations(scene.things)
            if all(fits(said, thing) for said, thing in zip(mentions, order, strict=True))
        ]
        assert orders
        if turn.spec.background is None:
            assert scene.gradient == 0
            grounds.add(scene.background)
        else:
            assert (scene.background, scene.gradient > 0) == (
                turn.spec.background,
                turn.spec.is_graded,
            )
        places = [said.cell for said in mentions]
        if places[0] and not places[1]:
            assert any((a.y < b.y) == (places[0][0] < 2) for a, b in orders)
        if places[1] and not places[0]:
            assert any((a.y > b.y) == (places[1][0] < 2) for a, b in orders)
        if not any(places):
            # Which is drawn first must be known before either is begun.
            assert any(first.y < second.y for first, second in orders)
            layouts.add(tuple(thing.cell for thing in scene.things))
    assert grounds == {PAPERS[0]}
    assert len(layouts) > 5


def test_things_are_not_lost_on_the_paper_they_are_drawn_on():
    for colour in ALL_COLOURS:
        scene = Scene("red", (Thing("star", colour, "large", 48.0, 48.0, SIZES["large"]),))
        drawn = settled(scene, Spec((Mention("star", colour),)))
        assert drawn.background == (PAPERS[1] if colour == PAPERS[0] else PAPERS[0])


def test_what_a_spec_says_stays_as_it_was():
    rng = random.Random(9)
    for _ in range(100):
        scene = SceneMaker(rng, SceneStyle(graded=0.0)).scene(rng.randint(1, 3))
        drawn = settled(scene, spec_of(scene, rng, openness=0.0))
        assert replace(drawn, things=scene.things) == scene
        assert set(drawn.things) == set(scene.things)
    for _ in range(50):
        scene, spec = related(SceneMaker(rng, SceneStyle(graded=0.0)))
        drawn = settled(scene, spec)
        assert [thing.cell for thing in drawn.things] == [thing.cell for thing in scene.things]
        (top, left), (bottom, right) = (thing.cell for thing in drawn.things)
        apart = {"left of": (0, 2), "right of": (0, -2), "above": (2, 0), "below": (-2, 0)}
        assert (bottom - top, right - left) == apart.get(spec.relation, (0, 0))
        assert all(map(fits, spec.mentions, drawn.things))


def test_what_nobody_calls_large_or_small_is_medium():
    rng = random.Random(10)
    sizes = set()
    for _ in range(200):
        scene = SceneMaker(rng, SceneStyle()).scene(rng.randint(1, 2))
        spec = spec_of(scene, rng)
        drawn = settled(scene, spec)
        for said in spec.mentions:
            things = [t for t in drawn.things if fits(replace(said, cell=None), t)]
            assert said.size or any(t.size == "medium" for t in things)
            sizes |= {t.size for t in things}
        assert all(t.radius == SIZES[t.size] for t in drawn.things)
        assert all(is_apart(a, b) for a, b in itertools.combinations(drawn.things, 2))
    assert len(sizes) == 3


def test_one_thing_inside_another_leaves_a_wide_rim():
    rng = random.Random(12)
    specs = [related(SceneMaker(rng)) for _ in range(200)]
    inside = [settled(*it).things for it in specs if it[1].relation == "inside"]
    assert len(inside) > 20
    for inner, outer in inside:
        assert (inner.size, outer.size) == ("small", "large")
        assert (inner.x, inner.y) == (outer.x, outer.y)


def test_a_thing_lies_within_the_four_patches_of_its_place():
    for shape, size, cell in itertools.product(SHAPES, SIZES, CELLS):
        thing = placed(Thing(shape, "red", size, 0, 0, SIZES[size]), cell)
        cover = render(pack([Scene("white", (thing,))])).coverage[0, 0]
        rows, columns = (slice(32 * index, 32 * index + 32) for index in cell)
        assert cover[rows, columns].any()
        cover[rows, columns] = 0
        assert not cover.any()


def test_edits_change_what_they_say():
    for conversation in conversations(6, 200):
        for turn in conversation.turns:
            if turn.edit is not None and turn.given is not None:
                assert turn.edit.after != turn.given.scene
