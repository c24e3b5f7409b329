"""Conversations -> token sequences exactly as the engine lays them out, with what to predict.

The engine's own `build_prompt` and `prompt_masks` are used, so layout and guidance cannot drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ming_core.univision.context import Part, Picture, Text
from ming_core.univision.guidance import Branch, prompt_masks
from ming_core.univision.prompt import build_prompt
from ming_core.univision.tokenizer import ConversationTokenizer
from ming_core.univision.values import Features
from ming_shapes.scene import Thing
from ming_shapes.tasks import Conversation, Say, Shown

IGNORED = -100


@dataclass
class Sequence:
    """One conversation as tokens.

    labels    per position the token that follows, or IGNORED
    is_answer where the label is a word of an answer, not a matter of course
    given, drawn  the pictures in order; their patches lie at the positions in `given_at` and
    `drawn_at` (first patch of each)
    about     position of the token before an answer, and the things that it is about
    hidden    tokens not seen from position `hidden_from` on, where a guidance branch is trained
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    is_answer: list[bool] = field(default_factory=list)
    given: list[Shown] = field(default_factory=list)
    drawn: list[Shown] = field(default_factory=list)
    given_at: list[int] = field(default_factory=list)
    drawn_at: list[int] = field(default_factory=list)
    about: list[tuple[int, tuple[Thing, ...]]] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    hidden_from: int = 0
    is_learnt: list[bool] = field(default_factory=list)  # per drawn picture


class SequenceMaker:
    """Lays out conversations for one tokenizer and grid."""

    def __init__(
        self, tokenizer: ConversationTokenizer, num_tokens: int, given_tokens: int = 0
    ) -> None:
        self.tokenizer, self.num_tokens = tokenizer, num_tokens
        side = round((given_tokens or num_tokens) ** 0.5)
        self._given = Picture(Features(torch.zeros(1, side * side, 1), (side, side)))
        self.given_tokens = side * side

    def plain(self, conversation: Conversation) -> Sequence:
        """Lay out a conversation; everything the assistant says and draws is learnt."""
        sequence = Sequence()
        for turn in conversation.turns:
            self._add_prompt(sequence, turn)
            self._add_answer(sequence, turn)
        sequence.is_learnt = [True] * len(sequence.drawn)
        return sequence

    def guided(self, conversation: Conversation, other: Say, branch: Branch) -> Sequence:
        """Lay out a conversation whose last picture is drawn by a guidance branch.

        The last turn's content is that of `other`, which the branch must not see, so that it
        learns to do without. Only the last picture is learnt.
        """
        sequence = Sequence()
        *earlier, last = conversation.turns
        reply_start = 0
        for turn in earlier:
            self._add_prompt(sequence, turn)
            reply_start = len(sequence.ids)
            self._add_answer(sequence, turn)
        start = len(sequence.ids)
        given = last.given if branch is Branch.IMAGE_ONLY or last.given is None else other.given
        self._add_prompt(sequence, Say(other.words, "", given or last.given))
        own = prompt_masks(sequence.ids[start:], self.tokenizer)[branch]
        hides_reply = branch is Branch.UNCONDITIONAL and bool(earlier)
        sequence.hidden = list(range(reply_start, start)) if hides_reply else []
        sequence.hidden += [start + i for i, seen in enumerate(own.tolist()) if not seen]
        sequence.hidden_from = len(sequence.ids)
        # What it is about is said in words that the branch does not see.
        drawn = replace(last.answer, meant=None)  # type: ignore[type-var]
        self._add_answer(sequence, Say("", drawn))
        sequence.labels = [IGNORED] * len(sequence.ids)
        sequence.is_learnt = [False] * (len(sequence.drawn) - 1) + [True]
        return sequence

    def _add_prompt(self, sequence: Sequence, turn: Say) -> None:
        """Append a user turn."""
        parts: list[Part] = [] if turn.given is None else [self._given]
        ids = build_prompt(self.tokenizer, [*parts, Text(turn.words)]).ids
        if turn.given is not None:
            sequence.given.append(turn.given)
            first = ids.index(self.tokenizer.image_patch)
            sequence.given_at.append(len(sequence.ids) + first)
        sequence.ids += ids
        sequence.labels += [IGNORED] * len(ids)
        sequence.is_answer += [False] * len(ids)

    def _add_answer(self, sequence: Sequence, turn: Say) -> None:
        """Append the assistant's turn; its end of text is predicted but never read."""
        tokenizer, answer = self.tokenizer, turn.answer
        if isinstance(answer, str):
            words = tokenizer.encode([answer])
            ids, is_answer = words, [True] * len(words)
            asked_at = len(sequence.ids) - 1
        else:
            asked_at = len(sequence.ids)
            patches = [tokenizer.image_patch] * self.num_tokens
            ids = [tokenizer.image, *patches, tokenizer.image_end]
            is_answer = [False] * len(ids)
            sequence.drawn.append(answer)
            sequence.drawn_at.append(len(sequence.ids) + 1)
        if turn.about is not None:
            sequence.about.append((asked_at, turn.about))
        follow = [token if token != tokenizer.image_patch else IGNORED for token in ids]
        sequence.labels[-1], sequence.is_answer[-1] = follow[0], is_answer[0]
        sequence.ids += ids
        sequence.labels += [*follow[1:], tokenizer.eos]
        sequence.is_answer += [*is_answer[1:], is_answer[0]]


@dataclass
class Batch:
    """Sequences padded to one length, and their pictures.

    ids, labels, is_answer, positions (B, L); given_slots and drawn_slots (P,) flat indices of
    each picture's first patch, about_slots those of the tokens that are asked what they are about;
    hidden (B, L) tokens unseen from hidden_from (B,) on
    """

    ids: Tensor
    labels: Tensor
    is_answer: Tensor
    positions: Tensor
    hidden: Tensor
    hidden_from: Tensor
    given: list[Shown]
    drawn: list[Shown]
    given_slots: Tensor
    drawn_slots: Tensor
    about: list[tuple[Thing, ...]]
    about_slots: Tensor
    is_learnt: Tensor
    given_tokens: int
    rendered_size: int = 0  # side at which given pictures are rendered; 0: as they are given
    plain: Batch | None = None  # the same in plain words, where it is to be drawn alike

    def visible(self) -> Tensor:
        """What every token sees: (B, L, L) booleans."""
        length = self.ids.shape[1]
        index = torch.arange(length, device=self.ids.device)
        causal = index[:, None] >= index
        from_there = index >= self.hidden_from[:, None]
        return causal & ~(from_there[:, :, None] & self.hidden[:, None, :])


def collate(sequences: list[Sequence], pad: int, given_tokens: int) -> Batch:
    """Pad sequences to one length; padding comes last, so nothing ever sees it."""
    length = -(-max(len(s.ids) for s in sequences) // 8) * 8

    def padded(rows: list[list[int]], value: int) -> Tensor:
        return torch.tensor([row + [value] * (length - len(row)) for row in rows])

    positions = torch.arange(length).repeat(len(sequences), 1)
    hidden = torch.zeros(len(sequences), length, dtype=torch.bool)
    starts = torch.tensor([s.hidden_from if s.hidden else length for s in sequences])
    for row, sequence in enumerate(sequences):
        if sequence.hidden:
            hidden[row, sequence.hidden] = True
            positions[row, sequence.hidden_from :] -= len(sequence.hidden)
    given_slots = [row * length + at for row, s in enumerate(sequences) for at in s.given_at]
    drawn_slots = [row * length + at for row, s in enumerate(sequences) for at in s.drawn_at]
    about_slots = [row * length + at for row, s in enumerate(sequences) for at, _ in s.about]
    return Batch(
        padded([s.ids for s in sequences], pad),
        padded([s.labels for s in sequences], IGNORED),
        padded([[int(a) for a in s.is_answer] for s in sequences], 0).bool(),
        positions,
        hidden,
        starts,
        [shown for s in sequences for shown in s.given],
        [shown for s in sequences for shown in s.drawn],
        torch.tensor(given_slots, dtype=torch.long),
        torch.tensor(drawn_slots, dtype=torch.long),
        [things for s in sequences for _, things in s.about],
        torch.tensor(about_slots, dtype=torch.long),
        torch.tensor([learnt for s in sequences for learnt in s.is_learnt], dtype=torch.bool),
        given_tokens,
    )
