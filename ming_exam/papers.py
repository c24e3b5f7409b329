"""The parts of the examination: each sets a case, lets the model answer, and marks it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from . import changes, prompts, questions
from .scene import Scene, as_jpeg, draw, some_scene
from .sight import View, look
from .sitting import Sitting, Talk

Mark = float | None  # 1 right, 0 wrong, decibels of a gain; None does not count
Paper = Callable[[Sitting, Random, str], Mark]

ASPECTS = (1.0, 1.0, 4 / 3, 16 / 9, 3 / 4)
GIVEN = 320  # pixels of the shorter side of a picture that a person brings
CHAIN = 6
DESCRIBE = (
    "Describe the picture.",
    "What do you see here?",
    "Tell me everything that is in this image.",
    "What's in the picture?",
)
SHARPEN = "Refine the image for better clarity."


def drawing(sitting: Sitting, random: Random, kind: str) -> Mark:
    """Draw what is asked for."""
    words, expected = prompts.KINDS[kind](random)
    picture = sitting.draw(words, random.randrange(10_000)).picture
    return float(picture is not None and expected.is_met(look(picture)))


def asking(sitting: Sitting, random: Random, kind: str) -> Mark:
    """Answer about a picture that a person brings."""
    scene = some_scene(random, random.choice((1, 1, 2, 3)))
    words, answer = questions.KINDS[kind](random, scene)
    return float(answer.is_given(sitting.ask(words, Talk(), _given(random, scene)).text))


def describing(sitting: Sitting, random: Random, _kind: str) -> Mark:
    """Describe a picture that a person brings, of any aspect, maybe a JPEG."""
    scene = some_scene(random, random.choice((1, 2)), aspect=random.choice(ASPECTS))
    text = sitting.ask(random.choice(DESCRIBE), Talk(), _given(random, scene)).text
    return float(questions.whole(scene).is_given(text))


def editing_own(sitting: Sitting, random: Random, kind: str) -> Mark:
    """Edit what it has just drawn."""
    return _after(sitting, random, kind, ())


def editing_asked(sitting: Sitting, random: Random, kind: str) -> Mark:
    """Edit what it has drawn and was asked a question about."""
    return _after(sitting, random, kind, ("What colour is the background?",))


def editing_described(sitting: Sitting, random: Random, kind: str) -> Mark:
    """Edit what it has drawn and described."""
    return _after(sitting, random, kind, (random.choice(DESCRIBE),))


def editing_given(sitting: Sitting, random: Random, kind: str) -> Mark:
    """Edit a picture that a person brings, everything else kept."""
    picture = _given(random, some_scene(random, random.choice((1, 2))))
    return _edited(sitting, random, kind, Talk(picture=picture), picture)[0]


def chaining(sitting: Sitting, random: Random, _kind: str) -> Mark:
    """Make six edits in one conversation; right if the picture is so after the last."""
    talk = _drawn(sitting, random)
    for _ in range(CHAIN):
        if talk is None:
            return None
        view = look(_picture(talk))
        usable = [kind for kind in changes.KINDS if _can(kind, view)]
        mark, talk = _edited(sitting, random, random.choice(usable), talk)
        if not mark:
            return 0.0
    return 1.0


def sharpening(sitting: Sitting, random: Random, _kind: str) -> Mark:
    """Sharpen a small or blurred picture; how many decibels nearer the true one it came."""
    true = draw(some_scene(random, random.choice((1, 2, 3))), 96)
    size = random.choice((24, 32, 48))
    given = true.resize((size, size), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        given = true.filter(ImageFilter.GaussianBlur(random.uniform(1.5, 3.5)))
    result = _picture(sitting.edit(SHARPEN, random.randrange(10_000), Talk(), given))
    plain = given.resize(true.size, Image.Resampling.BICUBIC)
    return _decibels(result.resize(true.size), true) - _decibels(plain, true)


def _after(sitting: Sitting, random: Random, kind: str, asked: tuple[str, ...]) -> Mark:
    talk = _drawn(sitting, random)
    if talk is None:
        return None
    view = look(_picture(talk))
    if not _can(kind, view):
        return None
    for question in asked:
        talk = sitting.ask(question, talk)
    return _edited(sitting, random, kind, talk)[0]


def _drawn(sitting: Sitting, random: Random) -> Talk | None:
    """Have one or two things drawn in the card's words; None if it did not come out as asked."""
    words, expected = random.choice((prompts.sentence, prompts.sentence_of_two))(random)
    talk = sitting.draw(words, random.randrange(10_000))
    if talk.picture is None or not expected.is_met(look(talk.picture)):
        return None
    return talk


def _edited(
    sitting: Sitting, random: Random, kind: str, talk: Talk, given: Image.Image | None = None
) -> tuple[float, Talk]:
    before = look(_picture(talk))
    words, change = changes.KINDS[kind](random, before)
    done = sitting.edit(words, random.randrange(10_000), talk, given)
    return float(change.is_made(before, look(_picture(done)))), done


def _can(kind: str, view: View) -> bool:
    """Tell whether an edit makes sense: what is left can be told apart and is not nothing."""
    count = len(view.things)
    if count == 0 or len({thing.shape for thing in view.things}) < count:
        return False
    return (kind != "remove" or count > 1) and (kind != "add" or count < 3)


def _given(random: Random, scene: Scene) -> Image.Image:
    picture = draw(scene, GIVEN)
    return as_jpeg(picture, random.randint(60, 90)) if random.random() < 0.5 else picture


def _picture(talk: Talk) -> Image.Image:
    if talk.picture is None:
        raise AssertionError("what was drawn or edited last is a picture")
    return talk.picture


def _decibels(picture: Image.Image, true: Image.Image) -> float:
    difference = np.asarray(picture, np.float64) - np.asarray(true, np.float64)
    return float(10 * np.log10(255**2 / max(1e-3, np.square(difference).mean())))


# By part: what is done, and the kinds of cases in it. What a given picture loses must leave some.
PAPERS: dict[str, tuple[Paper, tuple[str, ...]]] = {
    "draw": (drawing, tuple(prompts.KINDS)),
    "ask": (asking, tuple(questions.KINDS)),
    "describe": (describing, ("given",)),
    "edit_own": (editing_own, tuple(changes.KINDS)),
    "edit_given": (editing_given, tuple(kind for kind in changes.KINDS if kind != "remove")),
    "edit_after_question": (editing_asked, tuple(changes.KINDS)),
    "edit_after_description": (editing_described, tuple(changes.KINDS)),
    "chain_of_six": (chaining, ("mixed",)),
    "sharpen": (sharpening, ("small",)),
}
