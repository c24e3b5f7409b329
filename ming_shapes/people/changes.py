"""How people ask for a change of a picture: the same edits as the lessons', in their own words."""

from __future__ import annotations

import random
from dataclasses import replace

from ..edits import ASK, EditMaker, EditStep
from ..scene import SIDE, SIZES, Scene, SceneMaker, Thing, is_apart
from ..words import Mention, Phrasing, pointing_at
from ..words import a_thing as plain_thing
from ..words import the_thing as the_plain_thing
from .change_words import CHANGES, CLOSERS, LEADS
from .nouns import a_thing, the_thing
from .speech import Speech

PRONOUNS = {"en": ("it", "it", "this"), "zh": ("它",)}
ORDERED = tuple(SIZES)
OPEN_SIZE = 0.5  # share of things added whose size is not said
BEYOND = 0.25  # share of sizes of brought things in their places that go beyond what words name
BY_A_FACTOR = 0.7  # the same of things of any size
GROWTH = 1.35  # of the radius of what is to be larger
RADIUS = (4.5, 30.0)  # of things, whatever is asked for: a patch, and five eighths of the side


def plain_words(kind: str, scene: Scene, after: Scene, index: int, rng: random.Random) -> str:
    """Ask for a change in the plainest words of the first grammar."""
    plain = Phrasing(rng, is_plain=True)
    fill = {"colour": after.background}
    if kind != "background":
        thing = after.things[-1] if kind == "add" else [*after.things, *scene.things][index]
        said = Mention.of(thing) if kind == "add" else Mention(thing.shape, thing.colour)
        fill = {
            "colour": thing.colour,
            "shape": plain_thing(plain, Mention(thing.shape)),
            "place": plain.place(thing.cell),
            "size": thing.size,
            "thing": plain_thing(plain, said),
        }
    if kind not in ("add", "background"):
        fill["it"] = the_plain_thing(plain, pointing_at(scene, index, rng))
    text = ASK["en"][kind][0].format(**fill) + "."
    return text[0].upper() + text[1:]


class ChangeMaker(EditMaker):
    """Invents edits of scenes and says them as people do."""

    def __init__(self, maker: SceneMaker, speech: Speech, *, is_brought: bool = False) -> None:
        super().__init__(maker, speech.words)
        self.speech, self.is_brought = speech, is_brought

    def worded(
        self, kind: str, scene: Scene, index: int, made: tuple[Scene, dict[str, str]]
    ) -> EditStep:
        """Put an edit into people's words, and into the plainest."""
        after = made[0]
        about = None if kind in ("add", "background") else index
        if kind == "add":
            after, words = self._added(scene, after.things[-1])
        elif kind == "background":
            words = self.asked("background", self._coloured(after.background))
        else:
            words = self._about(kind, scene, after, index)
        is_named = kind != "resize" or after.things[index].radius in SIZES.values()
        plain = plain_words(kind, scene, after, index, self.rng) if is_named else ""
        return EditStep(kind, after, words, about, plain)

    def point(self, scene: Scene, index: int) -> str:
        """Point at a thing of a scene, as "it" where there is no other."""
        if len(scene.things) == 1 and self.speech.often(0.3):
            return self.rng.choice(PRONOUNS[self.speech.language])
        return the_thing(self.speech, pointing_at(scene, index, self.rng))

    def asked(self, kind: str, fill: dict[str, str]) -> str:
        """Ask for something of a kind."""
        speech = self.speech
        text = speech.form(CHANGES[speech.language][kind]).format(**fill)
        lead = speech.form(LEADS[speech.language]) if speech.often(0.5) else ""
        closer = speech.form(CLOSERS[speech.language]) if speech.often(0.3) else ""
        if text.endswith("?"):
            lead, closer = "", ""
        return speech.typed(lead + text + closer)

    def _resize(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        """Let a brought thing grow or shrink by a factor, too: people do not ask by our names."""
        if not self.is_brought:
            return super()._resize(scene, index)
        thing, rng = scene.things[index], self.rng
        is_named = thing.radius == SIZES[thing.size]
        if rng.random() >= (BEYOND if is_named else BY_A_FACTOR):
            return super()._resize(scene, index)
        ways = (GROWTH, 1 / GROWTH)
        if is_named:  # one step as far as there are names for it
            ways = {"small": ways[1:], "large": ways[:1]}.get(thing.size, ())
        if not ways or not RADIUS[0] <= (radius := thing.radius * rng.choice(ways)) <= RADIUS[1]:
            return None
        far = SIDE - 0.9 * radius
        x, y = (min(far, max(SIDE - far, place)) for place in (thing.x, thing.y))
        size = min(SIZES, key=lambda name: abs(SIZES[name] - radius))
        after = self._changed(scene, index, replace(thing, size=size, radius=radius, x=x, y=y))
        return after and (after, {})

    def _about(self, kind: str, scene: Scene, after: Scene, index: int) -> str:
        """Ask for a change of one thing."""
        speech, words, fill = self.speech, self.speech.words, {"t": self.point(scene, index)}
        before = scene.things[index]
        fill["b"] = fill["t"].removeprefix("the ").removeprefix("that ").removeprefix("this ")
        if kind == "remove":
            return self.asked(kind, fill)
        thing = after.things[index]
        if kind == "resize":
            return self._resized(before, thing, fill)
        shape = words.shape(thing.shape)
        fill |= {"p": speech.to(thing.cell), "s": speech.size(thing.size)}
        fill |= self._coloured(thing.colour)
        fill["k"] = f"一个{shape}" if speech.language == "zh" else speech.article(shape)
        fill["n"] = a_thing(speech, Mention(thing.shape, thing.colour))
        return self.asked(kind, fill)

    def _resized(self, before: Thing, thing: Thing, fill: dict[str, str]) -> str:
        """Ask for another size, or for one step up or down."""
        steps = ORDERED.index(thing.size) - ORDERED.index(before.size)
        is_named = thing.radius == SIZES[thing.size]
        if not is_named or abs(steps) == 1 and self.speech.often(0.6):
            return self.asked("grow" if thing.radius > before.radius else "shrink", fill)
        return self.asked("resize", {**fill, "s": self.speech.size(thing.size)})

    def _coloured(self, colour: str) -> dict[str, str]:
        named = self.speech.words.colour(colour)
        is_chinese = self.speech.language == "zh"
        return {"c": named, "art": named if is_chinese else self.speech.article(named)}

    def _added(self, scene: Scene, thing: Thing) -> tuple[Scene, str]:
        """Return the scene with a thing more, of ordinary size where that is not said."""
        said = Mention.of(thing)
        ordinary = replace(thing, size="medium", radius=SIZES["medium"])
        is_free = all(is_apart(ordinary, other) for other in scene.things)
        if is_free and self.speech.often(OPEN_SIZE):
            thing, said = ordinary, replace(said, size=None)
        after = replace(scene, things=(*scene.things, thing))
        return after, self.asked("add", {"n": a_thing(self.speech, said)})
