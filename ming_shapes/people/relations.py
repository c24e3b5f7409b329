"""How people say where one thing is as seen from another."""

from __future__ import annotations

from .speech import Speech

SAID = {
    "en": {
        "left of": ("to the left of", "left of", "on the left of", "on the left side of"),
        "right of": ("to the right of", "right of", "on the right of", "on the right side of"),
        "above": ("above", "over", "on top of", "higher than"),
        "below": ("below", "under", "underneath", "beneath", "lower than"),
        "inside": ("inside", "within", "in", "inside of", "in the middle of"),
        "around": ("around", "outside", "surrounding"),
    },
    "zh": {
        "left of": ("左边", "左侧", "左面"),
        "right of": ("右边", "右侧", "右面"),
        "above": ("上面", "上方", "上边"),
        "below": ("下面", "下方", "下边"),
        "inside": ("里面", "里", "内部", "中间"),
        "around": ("外面", "外边"),
    },
}
CONVERSE = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "inside": "around",
}
# {r} says how the first is to the second, {q} how the second is to the first.
FORMS = {
    "en": (
        "{a} {r} {b}", "{a} {r} {b}", "{a} is {r} {b}", "{r} {b} there is {a}",
        "{b} with {a} {r} it", "{a} sitting {r} {b}", "{a} that is {r} {b}", "{b} {q} {a}",
        "{a}, {r} {b}", "{a} and, {q} it, {b}", "{b}, and {r} it {a}", "{b} is {q} {a}",
        "{a} placed {r} {b}", "{b}. {r} it there is {a}", "{a} with {b} {q} it",
        "{b} and {a} {r} it", "{a}, which is {r} {b}", "{b} has {a} {r} it",
    ),
    "zh": (
        "{a}在{b}{r}", "{a}在{b}的{r}", "{b}{r}有{a}", "{b}的{r}是{a}", "{b}在{a}的{q}",
        "{b}{r}放着{a}", "{b}，{r}有{a}", "{b}在{a}{q}", "{a}位于{b}{r}", "{b}，它的{r}有{a}",
        "{a}放在{b}{r}", "{a}处在{b}的{r}",
    ),
}  # fmt: skip


def related(speech: Speech, relation: str, first: str, second: str) -> str:
    """Say that the first is left of the second, or whatever the relation is."""
    said = SAID[speech.language]
    there, back = (speech.form(said[name]) for name in (relation, CONVERSE[relation]))
    text = speech.form(FORMS[speech.language])
    at = text.find("{r} it there")
    if at > 0:
        there = there.capitalize()
    return text.format(a=first, b=second, r=there, q=back)
