"""What people say and bring: said rightly, apart from what is kept out, and what stays in place."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ming_core import GENERATE_PREFIX, ImageSampling, TextSampling, generate, load_model
from ming_core.univision.tokenizer import ConversationTokenizer
from ming_shapes.people.briefly import FAMILIAR_SHAPES, briefly
from ming_shapes.people.change_words import CHANGES
from ming_shapes.people.changes import ChangeMaker
from ming_shapes.people.pictures import RADII, loosened
from ming_shapes.people.queries import ASK, DESCRIBE, question
from ming_shapes.people.requests import BEHIND, OPENERS, request
from ming_shapes.people.speech import KEPT_OUT, Speech
from ming_shapes.people.strangers import ANSWER, STRANGERS, strange_request
from ming_shapes.prompts import Spec, spec_of
from ming_shapes.questions import COMPARING, conclusion, description, things_seen
from ming_shapes.render import pack, render
from ming_shapes.scene import (
    ALL_COLOURS,
    PLAIN,
    SIDE,
    SIZES,
    Scene,
    SceneMaker,
    SceneStyle,
    Thing,
    is_apart,
    is_held_out,
    placed,
)
from ming_shapes.tasks import Conversation, Shown, TaskSampler
from ming_shapes.wear import Wear, worn
from ming_shapes.words import COLOUR_WORDS, SHAPE_WORDS, Mention
from training.curriculum import ALIKE, CURRICULA, GROUPS, BatchMaker
from training.lessons import TASKS
from training.people import MOST_TURNS, PEOPLE, asked_for_one, plainly, strange, talk
from training.sequences import SequenceMaker
from training.stage import Settings

EVERYTHING = SceneStyle(colours=ALL_COLOURS)
COLOURS = {"en": ("red", "blue"), "zh": ("红", "蓝")}
BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
ASKED, LEAST_SAID, LEAST_DRAWN = 20, 16, 19


def lessons(seed: int, count: int, **specs) -> list[Conversation]:
    rng = random.Random(seed)
    tasks = list(PEOPLE.values())
    return [
        tasks[number % len(tasks)](TaskSampler(rng, EVERYTHING, **specs)) for number in range(count)
    ]


def test_every_lesson_is_practised_and_none_of_them_is_examined():
    grouped = {task for tasks in GROUPS.values() for task in tasks}
    for phases in CURRICULA.values():
        for phase in phases:
            assert {*phase.shares} <= grouped
    assert {*PEOPLE} <= {*CURRICULA["people"][0].shares}
    assert not {*PEOPLE} & {*TASKS}


def test_people_never_show_or_ask_for_a_held_out_combination():
    for conversation in lessons(1, 400):
        for turn in conversation.turns:
            for shown in (turn.given, turn.answer):
                if isinstance(shown, Shown):
                    assert not any(is_held_out(t.shape, t.colour) for t in shown.scene.things)


def test_the_same_seed_says_the_same():
    assert lessons(2, 60) == lessons(2, 60) != lessons(3, 60)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("table", [OPENERS, BEHIND, DESCRIBE])
def test_families_are_kept_out_of_training(table, language: str):
    forms = table[language]
    speakers = [Speech(random.Random(0), language, is_held_out=held) for held in (False, True)]
    trained, kept = ({s.form(forms) for _ in range(2000)} for s in speakers)
    assert kept == {forms[i] for i in range(KEPT_OUT - 1, len(forms), KEPT_OUT)}
    assert trained == {form for i, form in enumerate(forms) if i % KEPT_OUT != KEPT_OUT - 1}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_form_can_be_filled(language: str):
    fill = dict.fromkeys(("t", "b", "c", "art", "s", "p", "n", "k", "x", "o"), "X")
    for table in (CHANGES, ASK):
        for forms in table[language].values():
            for form in forms:
                assert "{" not in form.format(**fill)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_asked_briefly_is_tidy_whatever_is_left_open(language: str):
    """No sign stands alone where a word was not said, and all that is said is there."""
    rng = random.Random(12)
    maker = SceneMaker(rng, EVERYTHING)
    for _ in range(400):
        scene = maker.scene(rng.choice((1, 2)))
        spec = spec_of(scene, rng, openness=rng.choice((0.0, 0.5, 1.0)))
        text = briefly(Speech(rng, language), spec)
        assert not re.search(r"\(\)|\( | \)|,,|，，|的的|  |\{|^[,;:，的]|: ,", text), text
        for said in spec.mentions:
            names = {*SHAPE_WORDS[language][said.shape]}
            names |= {*FAMILIAR_SHAPES[said.shape]} if language == "zh" else set()
            assert any(name in text for name in names), text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("is_held_out", [False, True])
def test_a_request_says_all_that_is_required(language: str, is_held_out: bool):
    rng = random.Random(7)
    said = Mention("star", "red", "large", (0, 2))
    numbers = {"en": ("two", "2"), "zh": ("两", "2")}[language]
    for _ in range(300):
        speech = Speech(rng, language, is_held_out)
        text = request(speech, Spec((said,), "blue")).removeprefix(GENERATE_PREFIX).lower()
        shapes, (red, blue) = {*SHAPE_WORDS[language]["star"]}, COLOURS[language]
        if language == "zh":
            shapes |= {*FAMILIAR_SHAPES["star"]}
        assert any(word in text for word in shapes), text
        assert red in text and blue in text, text
        assert {"en": "right", "zh": "右"}[language] in text, text
        several = Spec((Mention("heart", "green", number=2),))
        text = request(speech, several).removeprefix(GENERATE_PREFIX).lower()
        assert any(number in text for number in numbers), text
        assert "{" not in text and "  " not in text, text


def test_questions_have_the_answers_of_the_scene_in_the_language_they_are_asked_in():
    rng = random.Random(3)
    maker = SceneMaker(rng, EVERYTHING)
    kinds = set()
    for _ in range(400):
        scene, language = maker.scene(2), rng.choice(("en", "zh"))
        asked = question(Speech(rng, language), scene, EVERYTHING)
        kinds.add(asked.kind)
        assert (language == "en") == asked.words.isascii() == asked.answer.isascii()
        colours = {COLOUR_WORDS[language][thing.colour][0] for thing in scene.things}
        if asked.kind == "colour":
            assert asked.answer in colours
        if asked.kind in COMPARING:
            assert asked.answer.startswith(things_seen(scene, language))
        if asked.kind == "is_it":
            assert conclusion(asked.answer) in ("yes", "no", "是", "否")
    assert kinds == {*ASK["en"]}


def test_a_loosened_scene_has_the_same_things_in_the_same_places_and_none_outside():
    rng = random.Random(5)
    maker = SceneMaker(rng, EVERYTHING)
    tints = set()
    for _ in range(150):
        scene = maker.scene(3)
        loose = loosened(scene, rng)
        assert description(loose, "en") == description(scene, "en") or any(
            a.is_outlined != b.is_outlined for a, b in zip(scene.things, loose.things, strict=True)
        )
        for number, thing in enumerate(loose.things):
            low, high = RADII[thing.size]
            assert low <= thing.radius <= high or thing.radius == SIZES[thing.size]
            assert thing.x - 0.85 * thing.radius >= 0 and thing.x + 0.85 * thing.radius <= SIDE
            tints.add(thing.tint)
            assert all(is_apart(thing, other) for other in loose.things[number + 1 :])
    assert PLAIN in tints and len(tints) > 100


def test_tints_are_painted_and_squashed_pictures_are_narrower():
    thing = placed(Thing("circle", "red", "large", 0, 0, 15.1), (1, 1))
    scene = Scene("blue", (thing,))
    plain = render(pack([scene])).pixels
    tinted = render(pack([scene.with_thing(0, replace(thing, tint=(0.0, 30.0, 0.0)))])).pixels
    difference = (tinted - plain)[0, :, 48, 48] * 127.5
    assert torch.allclose(difference, torch.tensor([0.0, 30.0, 0.0]), atol=1e-3)
    squashed = render(pack([replace(scene, stretch=2.0)])).coverage[0, 0]
    assert abs(float(squashed.sum() / render(pack([scene])).coverage[0, 0].sum()) - 0.5) < 0.02


def test_an_edit_of_a_brought_picture_leaves_all_else_where_it_was():
    rng = random.Random(6)
    maker = SceneMaker(rng, EVERYTHING)
    for _ in range(300):
        scene = loosened(maker.scene(3), rng)
        step = ChangeMaker(maker, Speech(rng)).any_edit(scene)
        touched = None if step.index is None else scene.things[step.index]
        assert {*scene.things} - {touched} <= {*step.after.things}
        if step.kind != "background":
            assert (step.after.background, step.after.tint) == (scene.background, scene.tint)
        else:
            assert step.after.tint == PLAIN
        if step.kind == "recolour":
            assert step.after.things[step.index or 0].tint == PLAIN


class Recording(ChangeMaker):
    """Keeps what was asked for last."""

    def asked(self, kind: str, fill: dict[str, str]) -> str:
        self.kind = kind
        return super().asked(kind, fill)


def test_what_is_to_be_larger_grows_whatever_size_it_has_and_stays_in_the_picture():
    rng = random.Random(11)
    maker = SceneMaker(rng, EVERYTHING)
    seen = set()
    for number in range(600):
        scene = maker.scene(2) if number % 2 else loosened(maker.scene(2), rng)
        recording = Recording(maker, Speech(rng), is_brought=True)
        step = recording.edit(scene, "resize")
        if step is None or step.index is None:
            continue
        before, after = (some.things[step.index] for some in (scene, step.after))
        is_named = after.radius == SIZES[after.size]
        assert recording.kind != "resize" or is_named
        if recording.kind != "resize":
            assert (after.radius > before.radius) == (recording.kind == "grow")
        for place, was in ((after.x, before.x), (after.y, before.y)):
            edge = 0.9 * after.radius - 1e-6
            assert place == was or edge <= place <= SIDE - edge
        others = [thing for thing in step.after.things if thing is not after]
        assert all(is_apart(after, other) for other in others)
        seen.add((recording.kind, before.size, before.radius == SIZES[before.size], is_named))
    for size, beyond in (("small", "shrink"), ("large", "grow")):
        assert (beyond, size, True, False) in seen
    assert {("grow", "medium", True, True), ("shrink", "medium", False, False)} <= seen


def test_sizes_are_learnt_from_the_pictures_themselves():
    """In plain words the model before gets every third wrong: it cannot tell people's."""
    rng, said_plainly = random.Random(12), set()
    for _ in range(200):
        (turn,) = PEOPLE["reworded"](TaskSampler(rng, EVERYTHING)).turns
        assert turn.kind != "resize"
        (turn,) = PEOPLE["sized"](TaskSampler(rng, EVERYTHING)).turns
        assert turn.kind == "resize" and turn.given and turn.edit
        assert turn.given.scene.things != turn.answer.scene.things
        said_plainly.add(turn.words == turn.plain)
        if turn.words == turn.plain:
            thing = turn.answer.scene.things[turn.edit.index or 0]
            assert thing.size in turn.words and thing.radius == SIZES[thing.size]
        talk_of = PEOPLE["talk"](TaskSampler(rng, EVERYTHING)).turns
        assert all(turn.kind != "resize" for turn in talk_of)
    assert said_plainly == {False, True}
    group = next(name for name, tasks in GROUPS.items() if "sized" in tasks)
    assert group not in ALIKE and all(group not in p.kept for p in CURRICULA["people"])


def test_talks_are_long_and_their_descriptions_are_of_what_is_there_then():
    lengths = set()
    for seed in range(120):
        turns = talk(TaskSampler(random.Random(seed), EVERYTHING)).turns
        lengths.add(len(turns))
        assert isinstance(turns[-1].answer, Shown)
        assert all(turn.given is None for turn in turns[1:])
        scene = None
        for turn in turns:
            before = turn.given.scene if turn.given else scene
            if turn.kind == "describe" and before is not None:
                assert turn.answer in (description(before, "en"), description(before, "zh"))
            scene = before if isinstance(turn.answer, str) else turn.answer.scene
    assert max(lengths) in (MOST_TURNS, MOST_TURNS + 1)


def test_every_picture_of_a_talk_is_known_from_the_one_before_it():
    """Its plain twin is no conversation: it begins with the picture that the edit is of."""
    edits = 0
    for seed in range(60):
        conversation = talk(TaskSampler(random.Random(seed), EVERYTHING))
        pictures = [turn for turn in conversation.turns if isinstance(turn.answer, Shown)]
        shown = next((turn.given for turn in conversation.turns if turn.given), None)
        twins = plainly(conversation)
        assert len(twins) == len(pictures)
        for (twin,), turn in zip((alone.turns for alone in twins), pictures, strict=True):
            assert twin.answer == turn.answer and twin.words == turn.plain
            assert (twin.given and twin.given.scene) == (shown and shown.scene)
            shown, edits = turn.answer, edits + (twin.given is not None)
    assert edits > 100


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_not_of_the_drawn_world_is_answered_in_the_language_asked_in(language: str):
    rng = random.Random(8)
    kinds = set()
    for _ in range(200):
        sampler = TaskSampler(rng, EVERYTHING, chinese=float(language == "zh"))
        (turn,) = strange(sampler).turns
        assert turn.answer == ANSWER[language]
        kinds.add(turn.given is None)
    assert kinds == {False, True}
    known = {
        word
        for table in (SHAPE_WORDS, COLOUR_WORDS)
        for ws in table[language].values()
        for word in ws
    }
    assert not known & {*STRANGERS[language]}


def test_what_was_known_is_kept_beside_peoples_lessons(tmp_path: Path, vocabulary):
    """Pictures of the first grammar, drawn and edited, are compared with the model before."""
    small = SequenceMaker(ConversationTokenizer.load(vocabulary[0]), 36)
    makers = [
        BatchMaker(CURRICULA[name], 200, 8, Settings(tmp_path), small, small)
        for name in ("people", "last")
    ]
    people, last = ([maker.batch(step) for step in range(60)] for maker in makers)
    assert all(batch.plain is None for batch in last)
    kept = [b for b in people if b.plain is not None and b.is_learnt.any()]
    heard = [b for b in people if b.plain is not None and not b.is_learnt.any()]
    assert kept and heard
    assert all(batch.plain.ids is batch.ids for batch in kept)
    assert {bool(batch.given) for batch in kept} == {False, True}
    assert all(batch.plain.drawn == batch.drawn for batch in heard)
    assert any(len(batch.plain.ids) > len(batch.ids) for batch in heard), "no talk among them"


def test_wear_follows_from_its_seed_and_blur_takes_more_away():
    scene = Scene("white", (placed(Thing("star", "black", "large", 0, 0, 15.1), (1, 1)),))
    pixels = render(pack([scene])).pixels[0]
    assert worn(pixels, None) is pixels
    wears = [Wear(seed) for seed in range(12)], [Wear(seed, is_blurred=True) for seed in range(12)]
    light, heavy = ([worn(pixels, wear) for wear in some] for some in wears)
    assert torch.equal(light[3], worn(pixels, Wear(3)))
    losses = [[float((one - pixels).abs().mean()) for one in some] for some in (light, heavy)]
    assert sum(losses[0]) < 0.7 * sum(losses[1])
    assert all(loss > 0.005 for loss in losses[1])


def test_typing_is_careless_now_and_then():
    rng = random.Random(9)
    texts = [Speech(rng).typed("draw a red star on blue") for _ in range(400)]
    assert any(text.isupper() for text in texts)
    assert len({text[0] for text in texts}) == 2
    assert 0.2 < sum(text.endswith(".") for text in texts) / len(texts) < 0.8


def test_what_is_drawn_alike_is_said_plainly_in_full():
    """The plain twin says what is settled, and nothing that its picture does not show."""
    rng = random.Random(4)
    names = ("asked_for_one", "asked_for_two", "asked_for_several", "asked_for_related", "reworded")
    for number in range(300):
        (turn,) = PEOPLE[names[number % 5]](TaskSampler(rng, EVERYTHING)).turns
        assert turn.plain.isascii() and turn.plain.endswith(".")
        (alone,) = plainly(Conversation("", (turn,)))
        assert alone.turns[0].words == turn.plain and alone.turns[0].given == turn.given
        scene = turn.answer.scene
        if turn.spec is not None:
            assert turn.plain.startswith(GENERATE_PREFIX)
            assert f"{scene.background} background." in turn.plain
            for said in turn.spec.mentions:
                assert said.shape in turn.plain and str(said.colour) in turn.plain
        elif turn.kind == "recolour":
            (thing,) = {*scene.things} - {*turn.given.scene.things}
            assert turn.plain.endswith(f" to {thing.colour}.")
        elif turn.kind == "add":
            assert scene.things[-1].size in turn.plain


@pytest.mark.slow
def test_the_bundled_model_says_so_when_it_is_asked_for_what_it_cannot_draw():
    """Where the model decides: a sentence for things of no lesson, a picture for what it knows."""
    model = load_model(BUNDLED)
    rng = random.Random(11)
    text, sampling = TextSampling(max_tokens=40), ImageSampling(steps=1)
    said = drawn = 0
    for seed in range(ASKED):
        speech = Speech(rng, ("en", "zh")[seed % 2], is_held_out=True)
        strange_words = strange_request(speech).removeprefix(GENERATE_PREFIX)
        (known,) = asked_for_one(TaskSampler(rng, is_held_out=True)).turns
        one, other = (
            generate(model, words, seeds=[seed], text=text, sampling=sampling)[0]
            for words in (strange_words, known.words)
        )
        said += one.latents is None and one.text in ANSWER.values()
        drawn += other.latents is not None
    assert said >= LEAST_SAID
    assert drawn >= LEAST_DRAWN
