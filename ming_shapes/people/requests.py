"""How people ask for a picture: orders, fragments, politeness, several sentences."""

from __future__ import annotations

from dataclasses import replace

from ming_core.univision.prompt import GENERATE_PREFIX

from ..prompts import Spec
from ..words import Mention
from .briefly import briefly
from .nouns import a_thing, one_of_two
from .relations import related
from .speech import Speech

AFTERWARDS = {
    "en": (
        ". It is {p}", ". It sits {p}", ". Put it {p}", ". It should be {p}", ", it is {p}",
        ". Place it {p}",
    ),
    "zh": ("。它在{p}", "，它在{p}", "。把它放在{p}", "，要放在{p}", "，位置在{p}", "，就放{p}"),
}  # fmt: skip
BRIEF = 0.35  # share of requests, but for relations, that are made in a hurry
FRAMED = 0.65  # share of requests that the published frame precedes, as in the workflows
OPENERS = {
    "en": (
        "draw", "please draw", "can you draw", "could you draw me", "I want", "I would like to see",
        "give me", "make", "make me", "create", "paint", "could you please make",
        "show me", "let me see", "a picture of", "an image of", "a picture with", "I need",
        "draw me", "a drawing of", "generate", "there is", "just", "an image showing",
        "I'd like", "I'd like to have", "please make me", "can I have", "please paint", "how about",
        "there should be", "picture of", "put", "hey, draw", "hi! can you make", "would you draw",
        "please show", "we need", "image with", "the picture shows", "please create", "may I see",
    ),
    "zh": (
        "画", "请画", "帮我画", "给我画", "我想要", "能不能画",
        "我要", "来", "生成", "请帮我画", "画一张图：", "麻烦画",
        "图里有", "画面上有", "图中有", "我想看", "做一张图，", "可以画",
        "请给我", "一张图：", "图片里有", "请生成", "帮我生成", "想要",
    ),
}  # fmt: skip
# What follows the things; {c} is the colour of the background, {art} it with an article.
BEHIND = {
    "en": (
        "on {art} background", "on {c}", "with {art} background", "against {art} background",
        ", {c} background", "in front of {art} background", ", background {c}",
        "over {art} background", ", on a plain {c} background", "on {c} paper",
        "and {art} background", "on {art} canvas", "; background: {c}", "with {c} behind",
        "on top of {art} background", "on a {c} sheet", "on a background of {c}", "against {c}",
        ". The background is {c}", ". Make the background {c}", ". Everything else is {c}",
        ". The rest is {c}", ". Background {c}", ". The background should be {c}",
        ". Use {art} background", ". Everything else should be {c}", ". {c} background",
        ", everything else {c}", ", the background is {c}", ". All the rest is {c}",
        ". The rest of the picture is {c}", ", and make the background {c}",
        ", and the background {c}", ". I want the background {c}", ", the rest {c}",
        ". Let the background be {c}", ". Behind it everything is {c}", ", all on {c}",
        "and {c} around it", ". The background must be {c}", ". The background colour is {c}",
        ". Around it everything is {c}",
    ),
    "zh": (
        "，背景是{c}", "，{c}背景", "，{c}的背景", "，背景为{c}", "，背景用{c}",
        "，其他地方都是{c}", "，背景{c}", "，放在{c}背景上", "，背景要{c}的", "。背景是{c}的",
        "，其余是{c}", "，后面是{c}", "，在{c}背景上", "，背景颜色是{c}", "，{c}底",
        "，剩下的都是{c}", "，底色是{c}", "。其余都用{c}",
    ),
}  # fmt: skip
# What comes before them; {o} is the opener.
AHEAD = {
    "en": (
        "on {art} background {o}", "on {c}: ", "on {art} background: ", "{c} background, ",
        "{art} background with", "against {art} background, {o}", "with {art} background, {o}",
        "background {c}, ", "{c} background: ", "the background is {c}. {o}",
        "{art} picture with", "make the background {c}. {o}", "on {art} background there is",
        "background: {c}. ", "take {art} background and draw",
        "the background is {c} and on it there is", "on {c}, {o}",
        "use {art} background and put on it", "on a {c} sheet there is",
        "I want {art} background. {o}", "on {c} paper {o}", "the background should be {c}. {o}",
        "everything is {c} except for", "start with {art} background, then {o}",
    ),
    "zh": (
        "在{c}背景上{o}", "{c}背景上，{o}", "{c}的背景，{o}", "{c}背景，", "背景是{c}，{o}",
        "{c}的画面上有", "背景用{c}，{o}", "在{c}的背景上，{o}", "{c}底，", "背景{c}，",
        "用{c}做背景，{o}", "先把背景涂成{c}，再{o}",
    ),
}  # fmt: skip
JOINS = {
    "en": (
        " and ", ", ", " and ", " plus ", " and also ", " as well as ",
        " with ", ", and ", " together with ", "; ", ", then ", " along with ",
    ),
    "zh": ("和", "，", "，还有", "、", "，再加", "以及"),
}  # fmt: skip
FRAMES = {
    "en": (
        "{a}{join}{b}", "{a}{join}{b}", "{a}{join}{b}", "two things: {a} and {b}",
        "both {a} and {b}", "two shapes, {a} and {b}", "{a}. Also {b}",
        "{a}, and there is also {b}", "first {a}, then {b}", "{a}{join}{b}", "{a} next, {b}",
        "{a}. And {b}",
    ),
    "zh": (
        "{a}{join}{b}", "{a}{join}{b}", "{a}{join}{b}", "{a}，另外{b}", "两个东西：{a}，{b}",
        "{a}，同时{b}",
    ),
}  # fmt: skip
CLOSERS = {
    "en": (
        "", "", "", " please", ", please", " thanks", "", "", "!", ", thank you", ", ok?",
        ", thanks a lot",
    ),
    "zh": ("", "", "", "，谢谢", "吧", "，好吗"),
}  # fmt: skip


def request(speech: Speech, spec: Spec) -> str:
    """Ask for a picture as a person would."""
    language = speech.language
    if not spec.relation and speech.often(BRIEF):
        text = speech.typed(briefly(speech, spec))
        return (GENERATE_PREFIX if speech.often(FRAMED) else "") + text
    things = _things(speech, spec)
    opener = speech.form(OPENERS[language]) if speech.often(0.65) else ""
    gap = "" if language == "zh" else " "
    if spec.background is None:
        text = f"{opener}{gap}{things}"
    else:
        text = _grounded(speech, spec, opener, things)
    if speech.often(0.25):
        text += speech.form(CLOSERS[language])
    text = speech.typed(text.replace(" ,", ",").replace(" .", ".").replace(" ;", ";"))
    return (GENERATE_PREFIX if speech.often(FRAMED) else "") + text


def _grounded(speech: Speech, spec: Spec, opener: str, things: str) -> str:
    """Say the things and what is behind them."""
    language = speech.language
    colour = speech.words.colour(spec.background or "")
    if spec.is_graded:
        colour = ("渐变" if language == "zh" else "graded ") + colour
    fill = {"c": colour, "art": colour if language == "zh" else speech.article(colour)}
    gap = "" if language == "zh" else " "
    if speech.often(0.3):
        return speech.form(AHEAD[language]).format(o=opener, **fill) + gap + things
    behind = speech.form(BEHIND[language])
    if behind.startswith(". ") and language == "en":
        sentence = behind[2:].format(**fill)
        return f"{opener}{gap}{things}. {sentence[0].upper() + sentence[1:]}"
    return f"{opener}{gap}{things}{gap}{behind.format(**fill)}"


def _things(speech: Speech, spec: Spec) -> str:
    if spec.relation:
        return related(speech, spec.relation, *(one_of_two(speech, it) for it in spec.mentions))
    phrases = [a_thing(speech, mention) for mention in spec.mentions]
    if len(phrases) == 1:
        (said,) = spec.mentions
        if said.cell and said.number == 1 and speech.often(0.08):
            return _placed_after(speech, said)
        return phrases[0]
    language = speech.language
    frame = speech.form(FRAMES[language])
    first = frame.format(a=phrases[0], b=phrases[1], join=speech.form(JOINS[language]))
    return ", ".join([first, *phrases[2:]])


def _placed_after(speech: Speech, said: Mention) -> str:
    """Name a thing, and say in a sentence of its own where it is."""
    thing = a_thing(speech, replace(said, cell=None))
    place = speech.at(said.cell or (1, 1))
    return f"{thing}{speech.form(AFTERWARDS[speech.language]).format(p=place)}"
