"""What is practised when: shares of the tasks among sequences, phase after phase.

Reading and copying come first: what the model cannot read or copy it cannot edit. No task is
ever dropped again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch

from ming_core.univision.guidance import Branch
from ming_shapes.scene import ALL_COLOURS, SIDE, SceneStyle
from ming_shapes.tasks import Conversation, TaskSampler

from .lessons import TASKS
from .people import PEOPLE, plainly
from .sequences import Batch, SequenceMaker, collate
from .stage import Settings

GUIDED = 0.1  # share of drawing sequences that train a guidance branch
EXACT = 0.5  # share of batches whose given pictures are rendered at the size they are given at
RENDERED = (SIDE, 2 * SIDE, 3 * SIDE)  # sides of the others: a user's pictures are resized
# Tasks that are alike in length share batches, so that little is padded.
GROUPS: dict[str, tuple[str, ...]] = {
    "draw": (
        "draw_one",
        "draw_two",
        "draw_counted",
        "draw_four",
        "draw_related",
        "draw_inside",
    ),
    "asked": ("asked_for_one", "asked_for_two", "asked_for_several", "asked_for_related"),
    "reworded": ("reworded",),
    "read": ("ask", "describe", "asked_about", "told_of", "strange"),
    "quiz": ("quiz",),
    "edit": (
        "copy",
        "sharpen",
        "colourise",
        "edit",
        "edit_one",
        "redraw",
        "redraw_first",
        "segment",
        "keep_only",
    ),
    "given": ("changed", "sized", "copied", "cleared"),
    "long": (
        "region",
        "chain",
        "draw_then_edit",
        "matting",
        "restore_then_edit",
    ),
    "talk": ("talk",),
    "talk_of_given": ("talk_of_given",),
}
RELATIVE_SIZE = {
    "draw": 1.0,
    "asked": 1.0,
    "reworded": 0.75,
    "read": 1.0,
    "quiz": 0.6,
    "edit": 0.75,
    "given": 0.75,
    "long": 0.4,
    "talk": 0.35,
    "talk_of_given": 0.35,
}
# Groups whose pictures are drawn as the plainest words for the same would have them drawn.
ALIKE = ("asked", "reworded", "talk")
SAID_OTHERWISE = 0.8  # share of their requests in people's words; the others keep plain ones
COPIES = ("copy", "copied")


@dataclass(frozen=True)
class Phase:
    """A stretch of the training up to a share of all steps, with its tasks' shares."""

    until: float
    shares: dict[str, float]
    most_things: int = 3
    style: SceneStyle = SceneStyle(colours=ALL_COLOURS)
    chinese: float = 0.3
    plain: float = 0.0  # share of conversations in plain speech
    # Copied pictures are crowded: where most patches are background, the patch before tells what
    # the next one is, and nothing is learnt of tying given patches to drawn ones.
    most_copied: int = 5
    # Share of reading batches whose pictures are given at twice the size, as Describe does.
    large: float = 0.5
    # Groups drawn as they were by the model that knows plain words.
    kept: tuple[str, ...] = ()


EASY = SceneStyle(outlined=0.05, graded=0.05, colours=ALL_COLOURS)
BARE = SceneStyle(outlined=0.0, graded=0.0, colours=ALL_COLOURS)
# Which word belongs to what is learnt within minutes when everything is said in one way, and hardly
# at all from many phrasings at once (training/README.md): so both begin with plain speech.
BEGINNING = {"ask": 0.25, "describe": 0.15, "copy": 0.6}
ONE_THING = {"draw_one": 0.72, "ask": 0.1, "describe": 0.08, "copy": 0.1}
# Which of several things is meant: learnt within some hundred steps when there is little else and
# one way of saying it, and hardly at all among everything (decision 0021).
POINTED = {
    "draw_one": 0.02,
    "draw_two": 0.07,
    "draw_counted": 0.03,
    "draw_related": 0.06,
    "describe": 0.04,
    "quiz": 0.06,
    "edit_one": 0.66,
    "segment": 0.03,
    "keep_only": 0.03,
}
# Whether anything is as was said, and how many: within some hundred steps, too (decision 0021).
COMPARED = {
    "draw_one": 0.04,
    "draw_two": 0.06,
    "draw_counted": 0.04,
    "draw_related": 0.05,
    "ask": 0.1,
    "describe": 0.05,
    "quiz": 0.5,
    "edit": 0.06,
    "edit_one": 0.1,
}
EVERYTHING = {
    "draw_one": 0.12,
    "draw_two": 0.15,
    "draw_counted": 0.05,
    "draw_related": 0.06,
    "ask": 0.1,
    "describe": 0.08,
    "copy": 0.02,
    "quiz": 0.05,
    "edit": 0.12,
    "edit_one": 0.12,
    "sharpen": 0.03,
    "colourise": 0.02,
    "segment": 0.02,
    "keep_only": 0.02,
    "region": 0.05,
    "chain": 0.05,
    "draw_then_edit": 0.03,
}


def pointed(until: float) -> Phase:
    """Return the phase in which it is learnt which thing is meant."""
    return Phase(until, POINTED, 3, BARE, 0.0, plain=1.0)


def compared(until: float) -> Phase:
    """Return the phase in which it is learnt whether there is what was asked for, and how many."""
    return Phase(until, COMPARED, 3, BARE, 0.0, plain=1.0)


FULL_PHASES = (
    Phase(0.06, BEGINNING, 1, BARE, 0.0, plain=1.0),
    Phase(0.18, ONE_THING, 1, BARE, 0.0, plain=1.0),
    Phase(0.24, ONE_THING, 2, EASY, 0.15),
    Phase(
        0.4,
        {"ask": 0.16, "describe": 0.1, "copy": 0.12, "draw_one": 0.32, "draw_two": 0.3},
        2,
    ),
    pointed(0.5),
    Phase(1.0, EVERYTHING),
)
# Hours of two cores: one thing at a time, drawn, read, copied and edited, first in plain
# speech; two things in the second half. Earlier, a second one turns up where one was asked for.
PLAIN = {"draw_one": 0.45, "ask": 0.15, "describe": 0.08, "copy": 0.32}
EDITED = {"draw_one": 0.4, "ask": 0.12, "describe": 0.08, "copy": 0.1, "edit": 0.3}
READ = {"ask": 0.08, "describe": 0.06, "copy": 0.07}
RARE = {"sharpen": 0.02, "colourise": 0.02, "segment": 0.02, "keep_only": 0.02, "region": 0.03}
ONE = {"draw_one": 0.46, **READ, **RARE, "edit": 0.2, "chain": 0.02}
# Numbers and relations leave places open: what was drawn so far must be counted while drawing.
TWO = {"draw_two": 0.17, "draw_counted": 0.08, "draw_related": 0.09}
LONG = {"edit": 0.12, "edit_one": 0.1, "quiz": 0.05, "chain": 0.07, "draw_then_edit": 0.02}
BOTH = {"draw_one": 0.18, **TWO, **READ, **RARE, **LONG}
# What takes longest to learn, most of all: which thing is which, how many, and where. Shares of one
# thing inside another and of the first place keep what larger ones (`NESTED`) have taught.
LAST = {
    "draw_one": 0.05,
    "draw_two": 0.17,
    "draw_counted": 0.05,
    "draw_four": 0.06,
    "draw_related": 0.03,
    "draw_inside": 0.04,
    "ask": 0.06,
    "quiz": 0.03,
    "describe": 0.1,
    "copy": 0.01,
    "edit": 0.09,
    "edit_one": 0.01,
    "redraw": 0.03,
    "redraw_first": 0.02,
    "sharpen": 0.02,
    "colourise": 0.01,
    "segment": 0.01,
    "keep_only": 0.01,
    "region": 0.03,
    "chain": 0.09,
    "draw_then_edit": 0.06,
    "matting": 0.01,
    "restore_then_edit": 0.01,
}
NESTED = LAST | {"draw_inside": 0.2, "redraw_first": 0.05}
# Outlines are seldom shown, and were among what was said wrong most often.
HOLLOW = SceneStyle(outlined=0.3, colours=ALL_COLOURS)
LAST_PHASE = Phase(1.0, LAST, 3, HOLLOW, chinese=0.3, plain=0.2, most_copied=3)


# How people talk and what they bring; the rest keeps what was learnt before.
HEARD = {
    "asked_for_one": 0.15,
    "asked_for_two": 0.15,
    "asked_for_several": 0.06,
    "asked_for_related": 0.08,
    "asked_about": 0.1,
    "told_of": 0.07,
    "strange": 0.02,
    "reworded": 0.15,
    "changed": 0.05,
    "sized": 0.05,
    "copied": 0.02,
    "cleared": 0.02,
    "talk": 0.16,
    "talk_of_given": 0.01,
}


def people(until: float, rest: float = 0.7) -> Phase:
    """Return the phase in which people are understood; `rest` are the shares of the last lessons
    beside those of people's."""
    return replace(
        LAST_PHASE,
        until=until,
        shares=HEARD | {task: share * rest for task, share in LAST.items()},
        plain=0.1,
        most_copied=5,
        large=0.7,
        kept=("draw", "edit", "long"),
    )


def carried(until: float, rest: float = 0.5) -> Phase:
    """Return the phase in which a model that carries latents learns to edit brought pictures."""
    shares = HEARD | {
        "asked_for_one": 0.1,
        "asked_for_two": 0.1,
        "asked_for_several": 0.04,
        "asked_for_related": 0.05,
        "reworded": 0.13,
        "changed": 0.25,
        "sized": 0.1,
        "copied": 0.05,
        "cleared": 0.08,
        "talk": 0.14,
        "talk_of_given": 0.05,
    }
    return replace(
        people(until), shares=shares | {task: share * rest for task, share in LAST.items()}
    )


def nested(until: float) -> Phase:
    """Return the phase in which one thing inside another is learnt (decision 0021)."""
    return replace(LAST_PHASE, until=until, shares=NESTED)


SHORT_PHASES = (
    Phase(0.09, PLAIN, 1, BARE, 0.0, 1.0),
    Phase(0.22, EDITED, 1, EASY, 0.2, 0.5),
    Phase(0.48, ONE, 1, EASY, 0.2, 0.5),
    Phase(0.72, BOTH, 2, EASY, 0.25, 0.3, most_copied=3),
    pointed(0.76),
    nested(0.88),
    LAST_PHASE,
)
# The last six are for a model that goes on from a checkpoint.
CURRICULA = {
    "full": FULL_PHASES,
    "short": SHORT_PHASES,
    "pointed": (pointed(0.2), LAST_PHASE),
    "compared": (compared(0.16), LAST_PHASE),
    "nested": (nested(0.5), LAST_PHASE),
    "last": (LAST_PHASE,),
    "people": (people(1.0),),
    "carried": (carried(1.0),),
}


@dataclass
class BatchMaker:
    """Makes the batch of any step; the same step always gets the same batch."""

    phases: tuple[Phase, ...]
    steps: int
    size: int
    settings: Settings
    small: SequenceMaker
    large: SequenceMaker

    def batch(self, step: int) -> Batch:
        """Return this process's sequences of a step, all of one group of tasks."""
        rng = random.Random(self.settings.seed * 7_368_787 + step)
        phase = next(p for p in self.phases if step < p.until * self.steps or p.until >= 1)
        names = list(phase.shares)
        weights: dict[str, float] = {}
        for group, tasks in GROUPS.items():
            share = sum(phase.shares.get(task, 0.0) for task in tasks)
            # Steps of small batches must come more often, so that sequences keep their shares.
            weights[group] = share / RELATIVE_SIZE[group]
        group = rng.choices(list(weights), list(weights.values()))[0]
        tasks = [task for task in GROUPS[group] if task in names]
        is_large = group in ("read", "quiz") and rng.random() < phase.large
        rendered_size = 0 if rng.random() < EXACT else rng.choice(RENDERED)
        maker = self.large if is_large else self.small
        # All processes have the same kind of work; what it is about is each one's own.
        rng = random.Random(f"{self.settings.seed} {self.settings.draw_of(step)}")
        count = round(self.size * RELATIVE_SIZE[group] * (0.4 if is_large else 1))
        shares = [phase.shares[task] for task in tasks]
        chosen = rng.choices(tasks, shares, k=max(1, count))
        if group in ALIKE:
            heard = [self._conversation(task, phase, rng) for task in chosen]
            return self._alike(heard, rng)
        sequences = []
        for task in chosen:
            conversation = self._conversation(task, phase, rng)
            branch = self._branch(conversation, rng)
            if branch is None:
                sequences.append(maker.plain(conversation))
            else:
                other = self._conversation(task, phase, rng).turns[-1]
                sequences.append(maker.guided(conversation, other, branch))
        batch = collate(sequences, maker.tokenizer.eos, maker.given_tokens)
        batch = replace(batch, rendered_size=rendered_size)
        return replace(batch, plain=batch) if group in phase.kept else batch

    def _alike(self, conversations: list[Conversation], rng: random.Random) -> Batch:
        """Return conversations in people's words, mostly, and, beside them, every picture of theirs
        by itself in the plainest."""
        tokenizer, tokens = self.small.tokenizer, self.small.given_tokens
        known = [plainly(conversation) for conversation in conversations]
        said = [
            plain[0] if len(c.turns) == 1 and rng.random() >= SAID_OTHERWISE else c
            for c, plain in zip(conversations, known, strict=True)
        ]
        batch, plain = (
            collate([self.small.plain(c) for c in some], tokenizer.eos, tokens)
            for some in (said, [one for alone in known for one in alone])
        )
        return replace(batch, plain=plain, is_learnt=torch.zeros_like(batch.is_learnt))

    def _conversation(self, task: str, phase: Phase, rng: random.Random) -> Conversation:
        sampler = TaskSampler(
            rng,
            phase.style,
            chinese=phase.chinese,
            most_things=phase.most_copied if task in COPIES else phase.most_things,
            is_plain=rng.random() < phase.plain,
        )
        return (TASKS | PEOPLE)[task](sampler)

    def _branch(self, conversation: Conversation, rng: random.Random) -> Branch | None:
        """Choose whether a guidance branch is trained on a conversation, and which."""
        last = conversation.turns[-1]
        if isinstance(last.answer, str) or rng.random() >= GUIDED:
            return None
        sees_pictures = last.given is not None or len(conversation.turns) > 1
        return Branch.IMAGE_ONLY if sees_pictures and rng.random() < 0.67 else Branch.UNCONDITIONAL
