"""A tokenizer and a model that get words of their own for what only new lessons say.

Every new word becomes one token by merges that come after all others, so that nothing is cut
otherwise that was known before; its row begins as a known word's, or as what all words have in
common.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tokenizers import Tokenizer, pre_tokenizers
from torch import Tensor

from ming_bench.tiny_checkpoint.tokenizer import CONTROL_TOKENS

LEAST = 2  # times that something must be said to become a word
BLANK = "\u0120"  # how the tokenizer spells a blank before a word
LONGEST = 8  # tokens that become one word


def with_words(tokenizer: Tokenizer, old: list[str], new: list[str]) -> Tokenizer:
    """Return a tokenizer with a token for every word of new texts; old ones are cut as ever."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    model = content["model"]
    for control in CONTROL_TOKENS:
        model["vocab"].pop(control, None)
    merges = _Merges(model["merges"])
    kept = {pair for piece in {*_pieces(tokenizer, old)} for pair in pairwise(merges.cut(piece))}
    counts = Counter(_pieces(tokenizer, new))
    signs = Counter(sign for text in new for sign in text if "\u4e00" <= sign <= "\u9fff")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelt = [byte_level.pre_tokenize_str(sign)[0][0] for sign, _ in signs.most_common()]
    words = [word for word, count in counts.most_common() if count >= LEAST]
    for word in (*spelt, *words):
        merges.join(word, kept)
    for pair in merges.added:
        model["vocab"].setdefault("".join(pair), len(model["vocab"]))
    model["merges"] += [list(pair) for pair in merges.added]
    return Tokenizer.from_str(json.dumps(content))


def grown_rows(rows: Tensor, before: dict[str, int], now: dict[str, int], size: int) -> Tensor:
    """Return one row per token of a vocabulary that has grown, and spare ones up to a size.

    A word written otherwise (a capital, no blank before it) begins as the one that is known; any
    other as the mean of all known words.
    """
    words = [i for token, i in before.items() if token.startswith(BLANK) and len(token) > 2]
    result = rows[words].mean(0).repeat(size, 1)
    for token, index in now.items():
        known = next((before[form] for form in _forms(token) if form in before), None)
        if known is not None:
            result[index] = rows[known]
    return result


def _forms(token: str) -> Iterator[str]:
    """A token, and how the same word is spelt elsewhere."""
    yield token
    bare = token.removeprefix(BLANK)
    if len(bare) > 1 and token not in CONTROL_TOKENS:
        for form in (bare.lower(), bare.capitalize()):
            yield BLANK + form
            yield form


def _pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[str]:
    """Cut texts, as they are read, into what becomes one token at most."""
    for text in dict.fromkeys(texts):
        read = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
        yield from (piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(read))


class _Merges:
    """Merges in their order, to which others are added at the end."""

    def __init__(self, merges: list[list[str]]) -> None:
        self.ranks = {(a, b): rank for rank, (a, b) in enumerate(merges)}
        self.added: list[tuple[str, str]] = []

    def cut(self, piece: str) -> list[str]:
        """Cut a piece into tokens."""
        tokens = list(piece)
        while True:
            ranked = [(self.ranks[p], i) for i, p in enumerate(pairwise(tokens)) if p in self.ranks]
            if not ranked:
                return tokens
            _, at = min(ranked)
            tokens[at : at + 2] = ["".join(tokens[at : at + 2])]

    def join(self, piece: str, kept: set[tuple[str, str]]) -> None:
        """Make a piece one token, unless that would join what is to stay apart."""
        tokens = self.cut(piece)
        if len(tokens) > LONGEST:
            return
        while len(tokens) > 1 and (tokens[0], tokens[1]) not in kept:
            pair = (tokens[0], tokens[1])
            self.ranks[pair] = len(self.ranks)
            self.added.append(pair)
            tokens = self.cut(piece)
