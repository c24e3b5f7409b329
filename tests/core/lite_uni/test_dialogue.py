"""A dialogue: every question goes on from all that was said, and what was given stays as it was."""

from types import SimpleNamespace

import pytest
import torch

from ming_core import PromptError
from ming_core.lite_uni import dialogue


def test_every_exchange_so_far_is_read(monkeypatch: pytest.MonkeyPatch):
    heard = []

    def answered(_model, question, image, *, history, **_others):
        heard.append((history, image))
        return SimpleNamespace(text=question.upper())

    monkeypatch.setattr(dialogue, "describe", answered)
    image = torch.zeros(1, 4, 4, 3)
    replies = [dialogue.ask(None, "a", image)]
    for question in "bc":
        replies.append(dialogue.ask(None, question, dialogue=replies[-1].dialogue))
    said = (("a", "A"), ("b", "B"), ("c", "C"))
    assert [history for history, _ in heard] == [said[:0], said[:1], said[:2]]
    assert all(shown is image for _, shown in heard)
    assert [reply.dialogue.exchanges for reply in replies] == [said[:1], said[:2], said]
    with pytest.raises(PromptError, match="comes with the first question"):
        dialogue.ask(None, "d", image, dialogue=replies[-1].dialogue)
