"""Describing a scene and asking about it; the answers follow from the scene."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ming_core.univision.prompt import DESCRIBE_PROMPT

from .scene import SHAPES, Scene, SceneStyle, Thing
from .words import (
    NUMBERS,
    YES_NO,
    Mention,
    Phrasing,
    a_thing,
    background_phrase,
    fits,
    noun_phrase,
    pointing_at,
    the_thing,
)

DESCRIBE = {
    "en": (
        DESCRIBE_PROMPT,
        "Describe the picture.",
        "What is in the picture?",
        "What do you see?",
        "Tell me what the picture shows.",
        "Please describe this image.",
    ),
    "zh": (
        "请详细描述这张图片。",
        "描述这张图片。",
        "图中有什么？",
        "你看到了什么？",
        "请描述图片。",
        "这张图片里有什么？",
    ),
}
ASK = {
    "en": {
        "what": ("What shape is {place}?", "Which shape is {place}?", "What is {place}?"),
        "colour": (
            "What colour is {thing}?",
            "Which colour does {thing} have?",
            "What color is {thing}?",
        ),
        "where": ("Where is {thing}?", "Where can I find {thing}?", "In which place is {thing}?"),
        "how_many": ("How many {things} are there?", "How many {things} do you see?"),
        "is_there": ("Is there {thing}?", "Do you see {thing}?"),
        "background": ("What colour is the background?", "Which colour is the background?"),
        "size": ("How large is {thing}?", "What size is {thing}?"),
    },
    "zh": {
        "what": ("{place}是什么形状？", "{place}是什么？"),
        "colour": ("{thing}是什么颜色？", "{thing}的颜色是什么？"),
        "where": ("{thing}在哪里？", "{thing}在什么位置？"),
        "how_many": ("有几个{things}？", "图中有多少个{things}？"),
        "is_there": ("有没有{thing}？", "图中有{thing}吗？"),
        "background": ("背景是什么颜色？", "背景的颜色是什么？"),
        "size": ("{thing}有多大？", "{thing}是多大的？"),
    },
}
LEADS = {
    "en": ("", "Please tell me: ", "Look at the picture. ", "Now, ", "One question: "),
    "zh": ("", "请告诉我：", "看图。", "现在，", "一个问题："),
}
KINDS = tuple(ASK["en"])
# What is said is compared with all that is seen. Such an answer first says what that is and
# concludes from it (decision 0021): "A red circle, a blue square: no".
COMPARING = ("how_many", "is_there")
POINTING = ("colour", "where", "size")  # about one thing, which its shape tells from others
ANY_COLOUR = 0.33  # share of questions whether there is a thing of some shape, whatever its colour
OBJECTS = {"en": ("objects", "things", "shapes"), "zh": ("物体", "东西", "形状")}


@dataclass(frozen=True)
class Question:
    """A question in words, its answer, and which things of the scene it is about: none where there
    is no such thing, None where it is about the background."""

    kind: str
    words: str
    answer: str
    meant: tuple[Thing, ...] | None = None


def plain_phrasing(phrasing: Phrasing) -> Phrasing:
    """Return the phrasing of answers: one language, always the same words."""
    return Phrasing(phrasing.rng, phrasing.language, is_plain=True)


def describe_request(phrasing: Phrasing) -> str:
    """Ask for a description."""
    lead, request = phrasing.pick(LEADS[phrasing.language], DESCRIBE[phrasing.language])
    # The published prompt is what the workflows send, so it is always known as it stands.
    return DESCRIBE[phrasing.language][0] if phrasing.rng.random() < 0.4 else lead + request


def description(scene: Scene, language: str) -> str:
    """Describe a scene in full; the same scene always gets the same words."""
    phrasing = Phrasing(random.Random(0), language, is_plain=True)
    ordered = sorted(scene.things, key=lambda t: (t.cell, t.x))
    things = [a_thing(phrasing, Mention.of(thing)) for thing in ordered]
    background = background_phrase(phrasing, scene.background, is_graded=scene.gradient > 0)
    if language == "zh":
        return f"{background}上，{'，'.join(things)}。"
    text = f"{', '.join(things)}, on {background}."
    return text[0].upper() + text[1:]


def things_seen(scene: Scene, language: str) -> str:
    """Name all things of a scene, row by row, as the answers of comparing questions begin."""
    phrasing = plain_phrasing(Phrasing(random.Random(0), language))
    ordered = sorted(scene.things, key=lambda t: (t.cell, t.x))
    named = [a_thing(phrasing, Mention(thing.shape, thing.colour)) for thing in ordered]
    if language == "zh":
        return "，".join(named)
    text = ", ".join(named)
    return text[0].upper() + text[1:]


def conclusion(answer: str) -> str:
    """Return what an answer comes to: all of it, or what follows the things that were seen."""
    return re.split("[:：]", answer)[-1].strip()


def question(phrasing: Phrasing, scene: Scene, kind: str, style: SceneStyle) -> Question:
    """Ask a question of one kind about a scene of a style."""
    rng, language = phrasing.rng, phrasing.language
    answers = plain_phrasing(phrasing)
    lead, form = phrasing.pick(LEADS[language], ASK[language][kind])
    index = rng.randrange(len(scene.things))
    thing = scene.things[index]
    fill, answer = {}, ""
    meant: tuple[Thing, ...] | None = (thing,)
    if kind == "background":
        answer, meant = answers.colour(scene.background), None
    elif kind == "how_many":
        fill, answer, meant = how_many(phrasing, scene)
    elif kind == "is_there":
        said, answer, meant = is_there(phrasing, scene, style)
        bare = noun_phrase(phrasing, said)
        fill = {"thing": bare if language == "zh" else a_thing(phrasing, said)}
    elif kind == "what":
        fill, answer = {"place": phrasing.place(thing.cell)}, answers.shape(thing.shape)
    else:
        said = pointing_at(scene, index, rng)
        hidden = {"colour": "colour", "where": "cell", "size": "size"}[kind]
        said = _without(said, hidden)
        fill = {"thing": the_thing(phrasing, said)}
        answer = {
            "colour": lambda: answers.colour(thing.colour),
            "where": lambda: answers.place(thing.cell),
            "size": lambda: answers.size(thing.size),
        }[kind]()
    if kind in COMPARING:
        colon = "：" if language == "zh" else ": "
        answer = things_seen(scene, language) + colon + answer
    return Question(kind, lead + form.format(**fill), answer, meant)


def can_ask(scene: Scene, kind: str) -> bool:
    """Tell whether a question kind has one answer: things must differ in shape to be pointed at."""
    if kind in POINTING:
        shapes = [thing.shape for thing in scene.things]
        return len(set(shapes)) == len(shapes)
    if kind == "what":
        cells = [thing.cell for thing in scene.things]
        return len(set(cells)) == len(cells)
    return True


def any_question(phrasing: Phrasing, scene: Scene, style: SceneStyle) -> Question:
    """Ask any question that the scene can answer."""
    kind = phrasing.rng.choice([k for k in KINDS if can_ask(scene, k)])
    return question(phrasing, scene, kind, style)


def _without(said: Mention, hidden: str) -> Mention:
    """Do not give the answer away."""
    return Mention(
        said.shape,
        None if hidden == "colour" else said.colour,
        None if hidden == "size" else said.size,
        None if hidden == "cell" else said.cell,
    )


Compared = tuple[dict[str, str], str, tuple[Thing, ...]]  # what is said, the answer, what fits


def how_many(phrasing: Phrasing, scene: Scene) -> Compared:
    """Choose what to count; returns what is said, the answer, and what is as was said."""
    if phrasing.rng.random() < 0.5:
        words, fitting = phrasing.word(OBJECTS[phrasing.language]), scene.things
    else:
        shape = phrasing.rng.choice([*(t.shape for t in scene.things), phrasing.rng.choice(SHAPES)])
        fitting = tuple(thing for thing in scene.things if thing.shape == shape)
        words = phrasing.shape(shape, 2)
    answer = (
        ("zero", *NUMBERS["en"][1:])
        if phrasing.language == "en"
        else ("零", "一", "二", "三", "四")
    )
    return {"things": words}, answer[len(fitting)], fitting


def is_there(
    phrasing: Phrasing, scene: Scene, style: SceneStyle
) -> tuple[Mention, str, tuple[Thing, ...]]:
    """Choose a thing to ask for; returns it, the answer, and what is as was said."""
    rng = phrasing.rng
    thing = rng.choice(scene.things)
    shape, colour = thing.shape, thing.colour
    chance = rng.random()
    if rng.random() < ANY_COLOUR:
        shape, colour = shape if chance < 0.5 else rng.choice(SHAPES), None
    elif chance < 0.3:
        shape = rng.choice(SHAPES)
    elif chance < 0.6:
        colour = rng.choice(style.colours)
    # "no" would teach that there is no such thing.
    if colour is not None and not style.allows(shape, colour):
        shape, colour = thing.shape, thing.colour
    said = Mention(shape, colour)
    fitting = tuple(thing for thing in scene.things if fits(said, thing))
    return said, YES_NO[phrasing.language][0 if fitting else 1], fitting
