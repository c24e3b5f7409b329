"""How people name things: order of words, articles, digits, afterthoughts."""

from __future__ import annotations

from ..words import OUTLINED, Mention
from .speech import Speech

NUMBERS = {
    "en": {2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")},
    "zh": {2: ("两个", "2个", "两颗"), 3: ("三个", "3个", "三颗"), 4: ("四个", "4个", "四颗")},
}
# {n} article, {s} size and such, {c} colour, {k} the shape, {p} a place with a blank before it.
ORDERS = {
    "en": (
        "{n} {s} {c} {k} {p}", "{n} {s} {c} {k} {p}", "{n} {s} {c} {k} {p}", "{s} {c} {k} {p}",
        "{n} {s} {k} in {c} {p}", "{n} {s} {k}, {c}, {p}", "{n} {c} {s} {k} {p}",
        "{p}, {n} {s} {c} {k}", "{n} {k} {p}, {s} and {c}", "{p} {n} {s} {c} {k}",
        "{c} {k}, {s}, {p}", "{n} {s} {k} coloured {c} {p}", "{n} {k} that is {s} and {c} {p}",
        "{n} {c} {k}, {s}, {p}", "{k}, {s}, {c}, {p}", "{s} {c} {k}, {p}",
        "{n} {s} {c} coloured {k} {p}", "{n} {k} {p} which is {s} and {c}",
    ),
    "zh": (
        "{n}{s}的{c}的{k}{p}", "{n}{s}的{c}{k}{p}", "{n}{c}的{s}{k}{p}", "{p}{n}{s}的{c}{k}",
        "{c}{k}{p}，{s}的", "{n}{c}{s}{k}{p}", "{s}的{c}{k}{p}", "{p}{n}{c}的{s}{k}",
        "{p}的{s}的{c}{k}", "{n}{k}，{c}，{s}{p}", "{n}{s}{k}，{c}的{p}", "{k}，{c}的，{s}的{p}",
    ),
}  # fmt: skip
ZH_PLACES = ("，在{p}", "，{p}", "，放在{p}", "，位于{p}", "在{p}", "，就在{p}")
ZH_AHEAD = ("{p}有", "在{p}有", "{p}画", "{p}：", "在{p}", "{p}放")
SEVERAL = {
    "en": (
        "{n} {s} {c} {k}", "{n} {s} {c} {k}", "{n} {s} {c} {k}", "{n} {s} {k} in {c}",
        "exactly {n} {s} {c} {k}", "a total of {n} {s} {c} {k}", "{s} {c} {k}, {n} of them",
        "{n} {s} {k}, all {c}", "{n} {c} {s} {k}", "{n} {s} {k}, all of them {c}",
        "altogether {n} {s} {c} {k}", "{n} {k}, each {s} {c}",
    ),
    "zh": (
        "{n}{s}的{c}{k}", "{n}{c}的{s}{k}", "{n}{c}{s}{k}", "{s}的{c}{k}{n}",
        "一共{n}{s}的{c}{k}", "{c}{k}，{n}，{s}的",
    ),
}  # fmt: skip


def a_thing(speech: Speech, said: Mention) -> str:
    """Name a thing that is asked for, or several alike ones."""
    forms = SEVERAL if said.number > 1 else ORDERS
    phrase = speech.form(forms[speech.language])
    return _filled(speech, said, phrase)


def one_of_two(speech: Speech, said: Mention) -> str:
    """Name a thing within a sentence about another: without afterthoughts."""
    return _filled(speech, said, speech.rng.choice(ORDERS[speech.language][:3]))


def the_thing(speech: Speech, said: Mention) -> str:
    """Point at a thing: "the red circle", "that star on the left"."""
    words = speech.words
    size = speech.size(said.size) if said.size else ""
    colour = words.colour(said.colour) if said.colour else ""
    if speech.language == "zh":
        named = "".join(f"{word}的" for word in (size, colour) if word) + words.shape(said.shape)
        lead = "那个" if speech.often(0.3) else ""
        return lead + (named if said.cell is None else f"{speech.spot(said.cell)}的{named}")
    lead = speech.form(("the", "the", "the", "the", "that", "this"))
    named = " ".join(word for word in (lead, size, colour, words.shape(said.shape)) if word)
    return named if said.cell is None else f"{named} {speech.at(said.cell)}"


def _filled(speech: Speech, said: Mention, phrase: str) -> str:
    """Put the words into an order, and leave out what is not said."""
    language, words = speech.language, speech.words
    sizes = [speech.size(said.size)] if said.size else []
    sizes += [words.word(OUTLINED[language])] if said.is_outlined else []
    colour = words.colour(said.colour) if said.colour else ""
    shape = words.shape(said.shape, said.number)
    if language == "zh":
        return _chinese(speech, said, phrase, ("的".join(sizes), colour, shape))
    place = speech.at(said.cell) if said.cell else ""
    if place and "{p}," not in phrase and speech.often(0.15):
        place = speech.spot(said.cell or (1, 1))
    if said.number > 1:
        number = speech.rng.choice(NUMBERS[language][said.number])
    else:
        rest = phrase.format(n="", s=" ".join(sizes), c=colour, k=shape, p="").replace(",", " ")
        number = speech.article(rest.split()[0]).split()[0]
    text = phrase.format(n=number, s=" ".join(sizes), c=colour, k=shape, p=place)
    return _mended(text)


def _mended(text: str) -> str:
    """Remove what is left where a word was not said."""
    text = " ".join(text.split())
    for wrong, right in (
        (" ,", ","), (",,", ","), ("that is and", "that is"), ("which is and", "which is"),
        (", and ", ", "), ("is and ", "is "), (" in ,", ","),
    ):  # fmt: skip
        text = text.replace(wrong, right)
    for end in (" and", " in", " coloured", " that is", " which is"):
        text = text.removesuffix(end)
    return text.strip(" ,")


def _chinese(speech: Speech, said: Mention, phrase: str, named: tuple[str, str, str]) -> str:
    size, colour, shape = named
    number = "一个"
    if said.number > 1:
        number = speech.rng.choice(NUMBERS["zh"][said.number])
    place = ""
    if said.cell:
        spot, is_ahead = speech.spot(said.cell), phrase.startswith("{p}")
        if phrase.startswith("{p}的"):
            place = spot
        else:
            place = speech.form(ZH_AHEAD if is_ahead else ZH_PLACES).format(p=spot)
    text = phrase.format(n=number, s=size, c=colour, k=shape, p=place)
    for wrong, right in (
        ("的的", "的"),
        ("，的", ""),
        ("，，", "，"),
        ("个的", "个"),
        ("颗的", "颗"),
    ):
        text = text.replace(wrong, right)
    return text.strip("，的")
