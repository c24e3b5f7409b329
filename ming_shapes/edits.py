"""Edits of scenes: what changes as data, the scene that follows, and the words that ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .render import Effect
from .scene import (
    CELLS,
    PLAIN,
    SHAPES,
    SIZES,
    Scene,
    SceneMaker,
    Thing,
    can_be_hollow,
    grown,
    is_apart,
    placed,
)
from .words import Mention, Phrasing, a_thing, pointing_at, the_thing

POLITE = {
    "en": ("", "Please ", "Now ", "Then ", "Next, "),
    "zh": ("", "请", "现在", "然后", "接着"),
}
ASK = {
    "en": {
        "recolour": (
            "change the colour of {it} to {colour}",
            "make {it} {colour}",
            "paint {it} {colour}",
        ),
        "reshape": ("turn {it} into {shape}", "change the shape of {it} to {shape}"),
        "move": ("move {it} {place}", "put {it} {place}"),
        "resize": ("make {it} {size}", "change the size of {it} to {size}"),
        "add": ("add {thing}", "draw {thing} as well"),
        "remove": ("remove {it}", "delete {it}", "take {it} away"),
        "replace": ("replace {it} with {thing}", "exchange {it} for {thing}"),
        "background": (
            "change the background to {colour}",
            "make the background {colour}",
            "paint the background {colour}",
        ),
        "outline": ("draw only the outline of {it}", "make {it} hollow"),
        "fill": ("fill {it}", "make {it} filled"),
    },
    "zh": {
        "recolour": ("把{it}变成{colour}", "将{it}改为{colour}", "把{it}涂成{colour}"),
        "reshape": ("把{it}变成{shape}", "将{it}改为{shape}"),
        "move": ("把{it}移到{place}", "将{it}放到{place}"),
        "resize": ("把{it}变成{size}的", "将{it}改为{size}的"),
        "add": ("在{place}加上{thing}", "在{place}添加{thing}"),
        "remove": ("去掉{it}", "删除{it}", "移除{it}"),
        "replace": ("用{thing}代替{it}", "把{it}换成{thing}"),
        "background": ("把背景变成{colour}", "将背景改为{colour}", "把背景涂成{colour}"),
        "outline": ("只画{it}的轮廓", "把{it}变成空心"),
        "fill": ("把{it}填满", "把{it}变成实心"),
    },
}
RESTORE = {
    Effect.BLUR: {
        "en": ("Refine the image for better clarity.", "Sharpen the picture.", "Remove the blur."),
        "zh": ("提高图片的清晰度。", "让图片更清晰。", "去除模糊。"),
    },
    Effect.GREY: {
        "en": (
            "Colorize this black and white photo.",
            "Colour the picture.",
            "Add colour to the picture.",
        ),
        "zh": ("给这张黑白照片上色。", "给图片上色。", "为图片添加颜色。"),
    },
}
SEGMENT = {
    "en": ("segment {it} in the picture", "segment {it}", "show the mask of {it}"),
    "zh": ("分割图中的{it}", "分割{it}", "显示{it}的蒙版"),
}
KEEP = {
    "en": (
        "keep only {it} and replace the background with plain white",
        "remove everything but {it}",
        "cut out {it}",
    ),
    "zh": ("只保留{it}，背景换成白色", "只保留{it}", "抠出{it}"),
}
COPY = {
    "en": ("show the picture again", "copy the picture", "repeat the picture"),
    "zh": ("再画一次这张图", "复制这张图片", "重复这张图片"),
}


@dataclass(frozen=True)
class EditStep:
    """One edit: its kind, the scene it leads to, its words, and which thing it is about."""

    kind: str
    after: Scene
    words: str
    index: int | None = None
    plain: str = ""  # the same in the plainest words, where people's are others


class EditMaker:
    """Invents edits of scenes."""

    def __init__(self, maker: SceneMaker, phrasing: Phrasing) -> None:
        self.maker, self.phrasing, self.rng = maker, phrasing, maker.rng
        self.kinds: dict[str, Callable[[Scene, int], tuple[Scene, dict[str, str]] | None]] = {
            "recolour": self._recolour,
            "reshape": self._reshape,
            "move": self._move,
            "resize": self._resize,
            "add": self._add,
            "remove": self._remove,
            "replace": self._replace,
            "background": self._background,
            "outline": self._outline,
            "fill": self._fill,
        }

    def any_edit(self, scene: Scene, kinds: tuple[str, ...] = ()) -> EditStep:
        """Return some edit that the scene allows."""
        while True:
            step = self.edit(scene, self.rng.choice(kinds or tuple(self.kinds)))
            if step is not None:
                return step

    def edit(self, scene: Scene, kind: str) -> EditStep | None:
        """Return an edit of a kind, or None when chance makes it impossible."""
        if not scene.things and kind not in ("add", "background"):
            return None
        index = self.rng.randrange(max(1, len(scene.things)))
        made = self.kinds[kind](scene, index)
        if made is None:
            return None
        return self.worded(kind, scene, index, made)

    def worded(
        self, kind: str, scene: Scene, index: int, made: tuple[Scene, dict[str, str]]
    ) -> EditStep:
        """Put an edit of a thing into words, made as one of `kinds` makes it."""
        after, fill = made
        form_list = ASK[self.phrasing.language][kind]
        is_whole = kind in ("add", "background")
        if not is_whole:
            fill["it"] = self.point(scene, index)
        return EditStep(kind, after, self.say(form_list, fill), None if is_whole else index)

    def point(self, scene: Scene, index: int) -> str:
        """Point at a thing of a scene."""
        return the_thing(self.phrasing, pointing_at(scene, index, self.rng))

    def say(self, forms: tuple[str, ...], fill: dict[str, str]) -> str:
        """Put an instruction into words."""
        language = self.phrasing.language
        polite, form = self.phrasing.pick(POLITE[language], forms)
        text = polite + form.format(**fill)
        return text[0].upper() + text[1:] + ("。" if language == "zh" else ".")

    def _changed(self, scene: Scene, index: int, thing: Thing) -> Scene | None:
        """Exchange a thing if it still fits beside the others and is not held out."""
        others = [t for i, t in enumerate(scene.things) if i != index]
        if thing.is_outlined and not can_be_hollow(thing):
            return None
        is_allowed = self.maker.style.allows(thing.shape, thing.colour)
        is_free = all(is_apart(thing, other) for other in others)
        return scene.with_thing(index, thing) if is_free and is_allowed else None

    def _recolour(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        thing = scene.things[index]
        colour = self.rng.choice(self.maker.style.colours)
        if colour in (thing.colour, scene.background):
            return None
        after = self._changed(scene, index, replace(thing, colour=colour, tint=PLAIN))
        return after and (after, {"colour": self.phrasing.colour(colour)})

    def _reshape(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        thing = scene.things[index]
        shape = self.rng.choice([s for s in SHAPES if s != thing.shape])
        after = self._changed(scene, index, replace(thing, shape=shape))
        said = Mention(shape)
        phrase = a_thing(self.phrasing, said)
        return after and (after, {"shape": phrase})

    def _move(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        thing = scene.things[index]
        cell = self.rng.choice([c for c in CELLS if c != thing.cell])
        after = self._changed(scene, index, placed(thing, cell))
        return after and (after, {"place": self.phrasing.place(cell)})

    def _resize(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        thing = scene.things[index]
        size = self.rng.choice([s for s in SIZES if s != thing.size])
        resized = replace(thing, size=size, radius=SIZES[size])
        after = self._changed(scene, index, resized)
        return after and (after, {"size": self.phrasing.size(size)})

    def _add(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:  # noqa: ARG002
        if len(scene.things) >= 4:
            return None
        thing = self.maker.fitting(scene)
        if thing is None or any(thing.shape == other.shape for other in scene.things):
            return None
        said = Mention.of(thing)
        fill = {"thing": a_thing(self.phrasing, said)}
        if self.phrasing.language == "zh":  # the place stands before the verb
            phrase = a_thing(self.phrasing, replace(said, cell=None))
            fill = {"thing": phrase, "place": self.phrasing.place(thing.cell)}
        return grown(scene, thing), fill

    def _remove(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        return scene.without(index), {}

    def _replace(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        old = scene.things[index]
        new = replace(self.maker.thing(scene.background), size=old.size, radius=old.radius)
        if new.shape == old.shape:
            return None
        new = replace(new, x=old.x, y=old.y, is_outlined=old.is_outlined)
        after = self._changed(scene, index, new)
        said = a_thing(self.phrasing, Mention(new.shape, new.colour))
        return after and (after, {"thing": said})

    def _background(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:  # noqa: ARG002
        taken = {scene.background, *(thing.colour for thing in scene.things)}
        colour = self.rng.choice([c for c in self.maker.style.colours if c not in taken])
        return replace(scene, background=colour, tint=PLAIN), {
            "colour": self.phrasing.colour(colour)
        }

    def _outline(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        thing = scene.things[index]
        if thing.is_outlined or not can_be_hollow(thing):
            return None
        return scene.with_thing(index, replace(thing, is_outlined=True)), {}

    def _fill(self, scene: Scene, index: int) -> tuple[Scene, dict[str, str]] | None:
        thing = scene.things[index]
        if not thing.is_outlined:
            return None
        return scene.with_thing(index, replace(thing, is_outlined=False)), {}
