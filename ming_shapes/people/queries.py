"""How people ask about a picture: straight, indirectly, as an order, in a word or two."""

from __future__ import annotations

from dataclasses import replace

from ..questions import (
    COMPARING,
    KINDS,
    Question,
    can_ask,
    how_many,
    is_there,
    plain_phrasing,
    things_seen,
)
from ..scene import Scene, SceneStyle, Thing
from ..words import YES_NO, Mention, noun_phrase, pointing_at
from .nouns import the_thing
from .speech import Speech

DESCRIBE = {
    "en": (
        "describe it", "describe the image", "what is in this picture?",
        "what does the image show?", "what do you see here?", "tell me what you see",
        "describe this picture", "what is this?", "what is shown here?",
        "can you describe the picture?", "list everything in the picture",
        "please tell me what is in the image", "what can you see?", "explain the picture",
        "what's in the image?", "say what is in the picture", "could you describe this for me?",
        "what does this picture contain?", "describe everything you see",
        "tell me about this picture", "what is there to see?", "give me a description",
        "what are you seeing?", "name everything that is in the picture", "what did you draw?",
        "what is in it now?", "describe what you see", "tell me all that is there",
    ),
    "zh": (
        "描述一下", "这是什么？", "图里有什么？", "请说说这张图", "你看见什么了？",
        "介绍一下这张图片", "图片里都有什么？", "描述一下这张图", "说一下图中的内容",
        "画面上有什么？", "请描述一下图片内容", "讲讲图里有什么", "看看图里有什么",
        "图上画了什么？", "现在图里有什么？", "告诉我图里有什么",
    ),
}  # fmt: skip
# {t} is the thing, {p} the place, {x} things, {o} a thing in want of an article, {b} the bare one.
ASK = {
    "en": {
        "colour": (
            "tell me the colour of {t}", "what is the colour of {t}?",
            "what colour does {t} have?", "what's the colour of {t}?", "which colour is {t}?",
            "can you tell me what colour {t} is?", "the colour of {t}?",
            "name the colour of {t}", "I want to know what colour {t} is",
            "do you know the colour of {t}?", "{t} is what colour?", "{t}: which colour?",
            "say what colour {t} is", "what colour is {t}?", "please tell me the colour of {t}",
            "in what colour is {t} drawn?", "is {t} red or blue or what?",
            "give me the colour of {t}", "I'd like to know the colour of {t}",
            "of what colour is {t}?", "could you name the colour of {t}?",
            "what colour was {t} painted?", "tell me what colour {t} is", "how is {t} coloured?",
        ),
        "where": (
            "tell me where {t} is", "where do you see {t}?", "what is the position of {t}?",
            "in which part of the picture is {t}?", "where's {t}?",
            "can you tell me where {t} is?", "the position of {t}?", "{t} is where?",
            "where does {t} sit?", "say where {t} is", "where exactly is {t}?",
            "where would I find {t}?", "I want to know where {t} is",
            "where in the picture is {t}?", "whereabouts is {t}?", "where has {t} been put?",
            "please tell me where {t} is", "which place is {t} in?", "where was {t} drawn?",
            "name the place of {t}",
        ),
        "size": (
            "how big is {t}?", "tell me how big {t} is", "what is the size of {t}?",
            "tell me the size of {t}", "is {t} small, medium or large?",
            "what's the size of {t}?", "how large is {t}?", "the size of {t}?",
            "can you tell me how large {t} is?", "say how big {t} is", "is {t} big or small?",
            "name the size of {t}",
        ),
        "background": (
            "tell me the colour of the background", "what is the colour of the background?",
            "the background colour?", "what's the background colour?",
            "what colour does the background have?", "name the background colour",
            "what colour is behind the things?", "tell me what colour the background is",
            "and the background?", "on what colour is it drawn?",
            "what colour is the background?", "which colour is behind it?",
            "can you tell me the background colour?", "the background is what colour?",
            "which background colour is it?", "say what colour the background is",
            "what is the background like?", "I want to know the background colour",
            "give me the colour of the background", "what colour lies behind everything?",
        ),
        "what": (
            "what do you see {p}?", "what can be seen {p}?", "which shape is there {p}?",
            "name the shape {p}", "what lies {p}?", "tell me which shape is {p}",
            "what shape do you see {p}?", "what is there {p}?",
            "there is something {p}. What is it?", "tell me what is {p}",
            "which shape sits {p}?", "{p}, what is it?", "what kind of shape is {p}?",
            "what is the shape {p}?", "what's {p}?", "the thing {p} is what?",
        ),
        "shape": (
            "what shape is {t}?", "which shape is {t}?", "tell me the shape of {t}",
            "what is the shape of {t}?", "what kind of shape is {t}?", "name the shape of {t}",
            "which shape does {t} have?", "what is {t}?", "say what shape {t} is",
            "can you tell me what shape {t} is?", "{t} is what shape?", "of what shape is {t}?",
        ),
        "is_it": (
            "is {t} {c}?", "is it true that {t} is {c}?", "would you say {t} is {c}?",
            "{t} is {c}, right?", "is the colour of {t} {c}?", "tell me whether {t} is {c}",
            "is {t} {c} or not?", "do you think {t} is {c}?",
        ),
        "how_many": (
            "count the {x}", "how many {x} can you see?", "tell me how many {x} there are",
            "what is the number of {x}?", "how many {x} are in the picture?",
            "can you count the {x}?", "number of {x}?", "how many {x}?", "please count the {x}",
            "how many {x} does the picture show?", "how many {x} have been drawn?",
            "say how many {x} you see", "the number of {x}?", "how many {x} are here?",
            "I want to know how many {x} there are", "give me the number of {x}",
            "how many {x} exist in it?",
        ),
        "is_there": (
            "can you see {o}?", "is there {o} in the picture?", "does the picture show {o}?",
            "is {o} in the picture?", "do you see {o} anywhere?", "tell me whether there is {o}",
            "any {b} in the picture?", "is there any {b}?", "does it contain {o}?",
            "is there {o} here?", "have you drawn {o}?", "is {o} somewhere in it?",
            "tell me if there is {o}", "I want to know if there is {o}",
        ),
    },
    "zh": {
        "colour": (
            "告诉我{t}的颜色", "{t}是啥颜色？", "{t}什么颜色？", "{t}是哪种颜色？",
            "请问{t}是什么颜色？", "说说{t}的颜色", "{t}的颜色是？", "{t}的颜色？",
            "我想知道{t}是什么颜色", "你知道{t}是什么颜色吗？", "{t}是什么颜色的？",
            "请说出{t}的颜色",
        ),
        "where": (
            "告诉我{t}在哪里", "{t}在哪儿？", "{t}在哪？", "请问{t}在哪里？",
            "{t}在图中什么位置？", "{t}位于哪里？", "{t}的位置是？", "{t}在图的哪个位置？",
            "我想知道{t}在哪里", "{t}放在哪里？", "{t}的位置？", "说说{t}的位置",
        ),
        "size": (
            "{t}多大？", "告诉我{t}有多大", "{t}大不大？", "{t}的大小是什么？", "{t}的大小？",
            "请问{t}有多大？",
        ),
        "background": (
            "告诉我背景的颜色", "背景什么颜色？", "背景是啥颜色？", "请问背景是什么颜色？",
            "背景是哪种颜色？", "后面是什么颜色？", "背景颜色是？", "背景的颜色？",
            "底色是什么？", "我想知道背景颜色", "背景是什么颜色的？", "说说背景的颜色",
        ),
        "what": (
            "{p}有什么？", "{p}是什么图形？", "{p}的是什么？", "告诉我{p}是什么",
            "{p}有什么形状？", "{p}画了什么？", "{p}的形状是什么？", "请问{p}是什么？",
            "在{p}的是什么？", "{p}那个是什么？", "{p}放了什么？", "{p}能看到什么？",
        ),
        "shape": (
            "{t}是什么形状？", "{t}是什么？", "告诉我{t}的形状", "{t}是什么图形？",
            "{t}什么形状？", "{t}的形状是？",
        ),
        "is_it": (
            "{t}是{c}的吗？", "{t}是不是{c}？", "{t}是{c}吗？", "{t}的颜色是{c}吗？",
            "{t}是{c}，对吗？", "{t}是{c}的，对不对？",
        ),
        "how_many": (
            "数一数有几个{x}", "图里有几个{x}？", "告诉我有几个{x}", "一共有多少个{x}？",
            "{x}有几个？", "请问有多少{x}？", "有多少个{x}？", "图片里有多少{x}？", "几个{x}？",
            "你看到几个{x}？", "共有几个{x}？", "总共几个{x}？",
        ),
        "is_there": (
            "图里有{b}吗？", "有{b}吗？", "图中有没有{b}？", "有没有看到{b}？", "是否有{b}？",
            "能看到{b}吗？", "告诉我有没有{b}", "里面有{b}吗？", "图片里有没有{b}？",
            "你看到{b}了吗？", "请问有{b}吗？", "存在{b}吗？",
        ),
    },
}  # fmt: skip
LEADS = {
    "en": (
        "", "", "", "", "please: ", "quick question: ", "and ", "now ", "so, ", "hey, ",
        "one more thing: ", "hm, ",
    ),
    "zh": ("", "", "", "", "请问，", "那么，", "现在", "还有，"),
}  # fmt: skip


def describe_request(speech: Speech) -> str:
    """Ask for a description."""
    return speech.typed(speech.form(DESCRIBE[speech.language]))


def question(speech: Speech, scene: Scene, style: SceneStyle) -> Question:
    """Ask any question about a scene that it can answer."""
    kinds = [kind for kind in KINDS if can_ask(scene, kind)]
    if len({thing.colour for thing in scene.things}) == len(scene.things):
        kinds.append("shape")
    if "colour" in kinds:
        kinds.append("is_it")
    kind = speech.rng.choice(kinds)
    fill, answer, meant = _asked(speech, scene, kind, style)
    form = speech.form(ASK[speech.language][kind])
    words = speech.typed(speech.form(LEADS[speech.language]) + form.format(**fill))
    if kind in COMPARING:
        colon = "：" if speech.language == "zh" else ": "
        answer = things_seen(scene, speech.language) + colon + answer
    return Question(kind, words, answer, meant)


Asked = tuple[dict[str, str], str, tuple[Thing, ...] | None]


def _asked(speech: Speech, scene: Scene, kind: str, style: SceneStyle) -> Asked:
    """Return what a question says, its answer and what it is about."""
    words, answers = speech.words, plain_phrasing(speech.words)
    if kind == "background":
        return {}, answers.colour(scene.background), None
    if kind == "how_many":
        fill, answer, fitting = how_many(words, scene)
        return {"x": fill["things"]}, answer, fitting
    if kind == "is_there":
        return _presence(speech, scene, style)
    index = speech.rng.randrange(len(scene.things))
    thing = scene.things[index]
    if kind == "what":
        return {"p": speech.at(thing.cell)}, answers.shape(thing.shape), (thing,)
    if kind == "shape":
        named = _one_of_a_colour(speech, thing)
        return {"t": named}, answers.shape(thing.shape), (thing,)
    return _pointed(speech, scene, index, kind, style)


def _presence(speech: Speech, scene: Scene, style: SceneStyle) -> Asked:
    said, answer, fitting = is_there(speech.words, scene, style)
    bare = noun_phrase(speech.words, said)
    named = bare if speech.language == "zh" else speech.article(bare)
    return {"o": named, "b": bare}, answer, fitting


def _one_of_a_colour(speech: Speech, thing: Thing) -> str:
    colour = speech.words.colour(thing.colour)
    if speech.language == "zh":
        return f"{colour}的" + speech.form(("东西", "图形", "那个"))
    return f"the {colour} " + speech.form(("thing", "one", "shape", "object"))


def _pointed(speech: Speech, scene: Scene, index: int, kind: str, style: SceneStyle) -> Asked:
    """Ask about a thing that its shape tells from the others."""
    thing, answers = scene.things[index], plain_phrasing(speech.words)
    said = pointing_at(scene, index, speech.rng)
    is_colour = kind in ("colour", "is_it")
    said = replace(
        Mention(said.shape, said.colour, None, said.cell),
        colour=None if is_colour else said.colour,
        cell=None if kind == "where" else said.cell,
    )
    fill = {"t": the_thing(speech, said)}
    if kind == "is_it":
        others = [c for c in scene_colours(scene) if style.allows(thing.shape, c)]
        asked = thing.colour if speech.often(0.5) else speech.rng.choice(others)
        fill["c"] = speech.words.colour(asked)
        return fill, YES_NO[speech.language][asked != thing.colour], (thing,)
    answer = {
        "colour": lambda: answers.colour(thing.colour),
        "where": lambda: answers.place(thing.cell),
        "size": lambda: answers.size(thing.size),
    }[kind]()
    return fill, answer, (thing,)


def scene_colours(scene: Scene) -> tuple[str, ...]:
    """Return colours that could be mistaken for a thing's: those in the picture, and two more."""
    return (scene.background, *(thing.colour for thing in scene.things), "red", "blue")
