"""Lessons of how people talk and what they bring: practised, and never examined by `ming eval`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ming_shapes.edits import ASK
from ming_shapes.people.changes import ChangeMaker
from ming_shapes.people.pictures import loosened
from ming_shapes.people.queries import describe_request, question
from ming_shapes.people.requests import request
from ming_shapes.people.speech import Speech
from ming_shapes.people.strangers import ANSWER, chatter, strange_change, strange_request
from ming_shapes.prompts import Spec, counted, draw_order, related, say_spec, settled, spec_of
from ming_shapes.questions import description, plain_phrasing
from ming_shapes.scene import SIZES, Scene
from ming_shapes.tasks import Conversation, Say, Shown, TaskSampler, asked_turn, edited
from ming_shapes.wear import Wear
from ming_shapes.words import Phrasing

OPENNESS = (0.0, 0.4, 0.7, 1.0)  # shares of details that a person leaves out
GROUNDLESS = 0.3  # share of requests for numbers and relations that say nothing of the background
SIZELESS = 0.6  # share of requests for numbers that say no size
BROUGHT = 0.7  # share of given pictures whose things lie anywhere
WORN, SQUASHED = 0.5, 0.25  # shares of given pictures that are worn, and of those read, squashed
MOST_TURNS = 8
SAID_PLAINLY = 0.4  # share of changes of size in the plainest words
KINDS = tuple(ASK["en"])
SIZES_TOO = ("resize",) * 2  # twice more among the kinds of edits: their words are the hardest
# In plain words, too, every third change of size went wrong: nobody knows them but the truth.
BUT_SIZES = tuple(kind for kind in KINDS if kind != "resize")
TALKS_FROM_WORDS = 0.65  # share of talks that begin with words alone
STRANGE_REQUESTS, STRANGE_CHANGES = 0.7, 0.2  # shares of what is asked for that cannot be drawn


def speech_of(sampler: TaskSampler) -> Speech:
    """Return a person who speaks the sampler's language."""
    return Speech(sampler.rng, sampler.phrasing.language, sampler.is_held_out)


def asked_for_one(sampler: TaskSampler) -> Conversation:
    """Draw one thing that a person asks for."""
    return _drawn(sampler, sampler.maker.scene(1))


def asked_for_two(sampler: TaskSampler) -> Conversation:
    """Draw two things that a person asks for."""
    return _drawn(sampler, sampler.maker.scene(2))


def asked_for_several(sampler: TaskSampler) -> Conversation:
    """Draw several alike things; of ordinary size where that is not said."""
    rng = sampler.rng
    scene, spec = counted(sampler.maker)
    if rng.random() < SIZELESS:
        ordinary = [replace(t, size="medium", radius=SIZES["medium"]) for t in scene.things]
        scene = replace(scene, things=tuple(ordinary))
        spec = replace(spec, mentions=tuple(replace(m, size=None) for m in spec.mentions))
    return _requested(sampler, scene, _groundless(sampler, spec))


def asked_for_related(sampler: TaskSampler) -> Conversation:
    """Draw two things in a relation."""
    scene, spec = related(sampler.maker)
    return _requested(sampler, scene, _groundless(sampler, spec))


def asked_about(sampler: TaskSampler) -> Conversation:
    """Answer one to three questions about a picture somebody brought."""
    given: Shown | None = read_by(sampler)
    scene, turns = given.scene, []
    for _ in range(sampler.rng.choice((1, 1, 2, 3))):
        turns.append(asked_turn(question(speech_of(sampler), scene, sampler.style), given))
        given = None
    return Conversation("asked_about", tuple(turns))


def told_of(sampler: TaskSampler) -> Conversation:
    """Describe a picture somebody brought."""
    given = read_by(sampler)
    return Conversation("told_of", (_described(sampler, given.scene, given),))


def changed(sampler: TaskSampler) -> Conversation:
    """Edit a picture somebody brought; all else stays where it is."""
    given = brought(sampler)
    kinds = (*KINDS, *SIZES_TOO)
    turn = _changed(sampler, given.scene, given, kinds=kinds, is_brought=True)
    return Conversation("changed", (turn,))


def reworded(sampler: TaskSampler) -> Conversation:
    """Edit a picture of the drawn world as a person asks for it."""
    scene = sampler.scene()
    return Conversation("reworded", (_changed(sampler, scene, Shown(scene)),))


def sized(sampler: TaskSampler) -> Conversation:
    """Change the size of a thing of the drawn world, as a person asks for it or plainly."""
    maker = ChangeMaker(sampler.maker, speech_of(sampler), is_brought=True)
    step = None
    while step is None:
        scene = sampler.scene()
        step = maker.edit(scene, "resize") if scene.things else None
    thing = step.after.things[step.index or 0]
    is_plain = thing.radius == SIZES[thing.size] and sampler.rng.random() < SAID_PLAINLY
    words = step.plain if is_plain else step.words
    turn = Say(words, edited(scene, step), Shown(scene), step.kind, edit=step, plain=step.plain)
    return Conversation("sized", (turn,))


def copied(sampler: TaskSampler) -> Conversation:
    """Draw a picture somebody brought once more."""
    given = brought(sampler)
    words = ChangeMaker(sampler.maker, speech_of(sampler)).asked("copy", {})
    return Conversation("copied", (Say(words, Shown(given.scene), given, "copy"),))


def cleared(sampler: TaskSampler) -> Conversation:
    """Sharpen a small or blurred picture; places and hues stay."""
    rng = sampler.rng
    scene = _loose(sampler)
    words = ChangeMaker(sampler.maker, speech_of(sampler)).asked("sharpen", {})
    given = Shown(scene, wear=Wear(rng.getrandbits(30), is_blurred=True))
    return Conversation("cleared", (Say(words, Shown(scene), given, "superres"),))


def strange(sampler: TaskSampler) -> Conversation:
    """Be asked for what is not of the drawn world, and say so."""
    rng, speech = sampler.rng, speech_of(sampler)
    given: Shown | None = None
    chosen = rng.random()
    if chosen < STRANGE_REQUESTS:
        words = strange_request(speech)
    elif chosen < STRANGE_REQUESTS + STRANGE_CHANGES:
        given = brought(sampler)
        words = strange_change(speech, given.scene)
    else:
        words = chatter(speech)
    return Conversation("strange", (Say(words, ANSWER[speech.language], given, "strange"),))


def talk(sampler: TaskSampler) -> Conversation:
    """Draw or show a picture of the drawn world, then edit it several times, with questions."""
    turns: list[Say] = []
    if sampler.rng.random() < TALKS_FROM_WORDS:
        start = sampler.rng.choice((asked_for_one, asked_for_two, asked_for_two))(sampler)
        turns += start.turns
        return _talk("talk", sampler, turns, start.turns[0].answer.scene, None)  # type: ignore[union-attr]
    scene = sampler.scene()
    return _talk("talk", sampler, turns, scene, Shown(scene))


def talk_of_given(sampler: TaskSampler) -> Conversation:
    """Bring a picture, then edit it several times, with questions in between."""
    given = brought(sampler)
    return _talk("talk_of_given", sampler, [], given.scene, given)


def _talk(
    task: str, sampler: TaskSampler, turns: list[Say], scene: Scene, given: Shown | None
) -> Conversation:
    rng = sampler.rng
    length = rng.choice((2, 3, 3, 4, 5, 6, MOST_TURNS))
    curious = rng.choice((0.0, 0.3, 0.5))
    kinds = BUT_SIZES if task == "talk" else KINDS
    while len(turns) < length:
        turn, scene = _talked(sampler, scene, given, curious, kinds)
        turns.append(turn)
        given = None
    if isinstance(turns[-1].answer, str):
        turns.append(_changed(sampler, scene, given, kinds=kinds))
    return Conversation(task, tuple(turns))


def plainly(conversation: Conversation) -> list[Conversation]:
    """Return every picture of a conversation as the plainest words alone would have it drawn: from
    the picture before it, with nothing said in between."""
    alone, before = [], None
    for turn in conversation.turns:
        before = turn.given or before
        if isinstance(turn.answer, Shown):
            turns = (replace(turn, words=turn.plain, given=before),)
            alone.append(replace(conversation, turns=turns))
            before = Shown(turn.answer.scene)
    return alone


def _talked(
    sampler: TaskSampler,
    scene: Scene,
    given: Shown | None,
    curious: float,
    kinds: tuple[str, ...],
) -> tuple[Say, Scene]:
    """Return the next turn of a conversation and the scene after it."""
    rng = sampler.rng
    if scene.things and rng.random() < curious:
        if rng.random() < 0.45:
            return _described(sampler, scene, given), scene
        asked = question(speech_of(sampler), scene, sampler.style)
        return asked_turn(asked, given), scene
    turn = _changed(sampler, scene, given, kinds=kinds)
    return turn, turn.answer.scene  # type: ignore[union-attr]


def _described(sampler: TaskSampler, scene: Scene, given: Shown | None) -> Say:
    speech = speech_of(sampler)
    return Say(describe_request(speech), description(scene, speech.language), given, "describe")


def _changed(
    sampler: TaskSampler,
    scene: Scene,
    given: Shown | None,
    *,
    kinds: tuple[str, ...] = BUT_SIZES,
    is_brought: bool = False,
) -> Say:
    maker = ChangeMaker(sampler.maker, speech_of(sampler), is_brought=is_brought)
    step = maker.any_edit(scene, kinds)
    return Say(step.words, edited(scene, step), given, step.kind, edit=step, plain=step.plain)


def brought(sampler: TaskSampler) -> Shown:
    """Return a picture as people bring them."""
    rng = sampler.rng
    scene = _loose(sampler) if rng.random() < BROUGHT else sampler.scene()
    wear = Wear(rng.getrandbits(30)) if rng.random() < WORN else None
    return Shown(scene, wear=wear)


def read_by(sampler: TaskSampler) -> Shown:
    """Return a picture to be read, which may be squashed: that keeps names and places."""
    shown = brought(sampler)
    if sampler.rng.random() >= SQUASHED:
        return shown
    stretch = sampler.rng.choice((1.33, 1.5, 1.78, 0.75, 0.67, 0.56))
    return replace(shown, scene=replace(shown.scene, stretch=stretch))


def _loose(sampler: TaskSampler) -> Scene:
    return loosened(sampler.scene(), sampler.rng)


def _drawn(sampler: TaskSampler, scene: Scene) -> Conversation:
    return _requested(
        sampler, scene, spec_of(scene, sampler.rng, openness=sampler.rng.choice(OPENNESS))
    )


def _groundless(sampler: TaskSampler, spec: Spec) -> Spec:
    """Leave the background open, sometimes."""
    if sampler.rng.random() >= GROUNDLESS:
        return spec
    return replace(spec, background=None, is_graded=None)


def _requested(sampler: TaskSampler, scene: Scene, spec: Spec) -> Conversation:
    words = request(speech_of(sampler), spec)
    scene = draw_order(settled(scene, spec))
    plain = say_spec(plain_phrasing(Phrasing(sampler.rng)), _spelt_out(scene, spec))
    return Conversation(
        spec.kind, (Say(words, Shown(scene), None, spec.kind, spec=spec, plain=plain),)
    )


def _spelt_out(scene: Scene, spec: Spec) -> Spec:
    """Return the spec with what is settled said, but for places."""
    mentions = spec.mentions
    if spec.kind == "counting":
        mentions = tuple(replace(said, size=scene.things[0].size) for said in mentions)
    return replace(
        spec, mentions=mentions, background=scene.background, is_graded=scene.gradient > 0
    )


PEOPLE: dict[str, Callable[[TaskSampler], Conversation]] = {
    "asked_for_one": asked_for_one,
    "asked_for_two": asked_for_two,
    "asked_for_several": asked_for_several,
    "asked_for_related": asked_for_related,
    "asked_about": asked_about,
    "told_of": told_of,
    "changed": changed,
    "sized": sized,
    "reworded": reworded,
    "copied": copied,
    "cleared": cleared,
    "strange": strange,
    "talk": talk,
    "talk_of_given": talk_of_given,
}
