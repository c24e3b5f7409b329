"""The small tokenizer of the tiny model: byte-level pairs learnt from the drawn world's language.

English words become one token each; Chinese is cut at the world's own words first. Anything
else a person types still becomes bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .conversations import TASKS, Dice
from .questions import ASK, DESCRIBE
from .words import COLOUR_WORDS, PLACE_WORDS, SHAPE_WORDS, SIZE_WORDS

MERGED_SIZE = 1500
"""At most so many entries before the control tokens; the language needs fewer."""

CONTROL_TOKENS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "[CLS]",
    "[gMASK]",
    "<role>",
    "</role>",
    "<imagePatch>",
    "<image>",
    "</image>",
)
SAMPLES = 3000
PARTICLES = "有没有|一个|两个|三个|四个|空心|实心|渐变|背景|图片|图中|请|把|将|的|在|有|和|是|上"


def make_tokenizer() -> Tokenizer:
    """Learn the tokenizer; the same code gives the same file."""
    tables = [COLOUR_WORDS["zh"], SHAPE_WORDS["zh"], SIZE_WORDS["zh"], PLACE_WORDS["zh"]]
    words = {word for table in tables for options in table.values() for word in options}
    chinese = "|".join([*sorted(words, key=lambda word: (-len(word), word)), PARTICLES])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(chinese), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MERGED_SIZE,
        min_frequency=3,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    return tokenizer


def corpus() -> Iterator[str]:
    """Yield samples of everything that is ever said."""
    rng = random.Random(1)
    for _ in range(60):
        yield "HUMAN ASSISTANT\nHUMAN\nASSISTANT"
        for language in ("en", "zh"):
            yield from DESCRIBE[language]
            for forms in ASK[language].values():
                yield from forms
    for number in range(SAMPLES):
        task = TASKS[list(TASKS)[number % len(TASKS)]]
        for turn in task(Dice(rng, chinese=0.4, is_held_out=number % 3 == 0)).turns:
            yield turn.words
            if isinstance(turn.answer, str):
                yield turn.answer


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write the tokenizer's files as published; return the vocabulary."""
    tokenizer = make_tokenizer()
    special = {
        "additional_special_tokens": ["<role>", "</role>"],
        "bos_token": "<|startoftext|>",
        "cls_token": "[CLS]",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    files = {
        "tokenizer.json": json.loads(tokenizer.to_str()),
        "special_tokens_map.json": special,
        "tokenizer_config.json": {
            **special,
            "add_bos_token": False,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    return tokenizer.get_vocab(with_added_tokens=True)


def vocabulary_of(folder: Path) -> dict[str, int]:
    """Return the vocabulary of a tokenizer that was written before."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab(with_added_tokens=True)
