"""The small tokenizer of the tiny model: byte-level pairs learnt from the drawn world's language.

English words become one token each; Chinese is cut at the world's own words first. Other words for
these are read as them (`reading.py`); anything else a person types still becomes bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from ming_bench.tiny_checkpoint.tokenizer import write_files
from ming_core.scope import FILE as SCOPE_FILE
from ming_core.scope import Scope, read_scope, words_of
from ming_shapes.questions import ASK, DESCRIBE
from ming_shapes.scene import ALL_COLOURS, SceneStyle
from ming_shapes.tasks import TaskSampler
from ming_shapes.words import COLOUR_WORDS, PLACE_WORDS, SHAPE_WORDS, SIZE_WORDS

from .lessons import TASKS
from .new_words import with_words
from .people import PEOPLE
from .reading import normalizer, taught_words

MERGED_SIZE = 1500
"""At most so many entries before the control tokens; the language needs fewer."""
SAMPLES, PEOPLE_SAMPLES = 3000, 3000
SAYS = [
    "This small model only draws flat shapes: circle, square, triangle, star, diamond, cross and "
    "heart, in sixteen colours, on a plain background.",
    "这个小模型只会画平面图形：圆形、正方形、三角形、星形、菱形、十字和心形，十六种颜色，纯色背景。",
]
EVERYTHING = SceneStyle(colours=ALL_COLOURS)
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
    return with_people(tokenizer)


def with_people(tokenizer: Tokenizer, known: Scope | None = None) -> Tokenizer:
    """Return a tokenizer that reads other words as taught ones, and has words for what people say.

    What was one token stays one, so a model that knew it before goes on with it. Where it has
    people's words already, `known`, texts of these are read and cut as before: however the samples
    of a lesson fall, what is cut otherwise is new to the model.
    """
    said, heard = sorted({*corpus()}), [*people_corpus()]
    if known is None:
        calm = (text for text in heard if not text.split(". ")[-1].isupper())
        tokenizer.normalizer = normalizer(taught_words(iter(said)), taught_words(calm))
    old = [text for text in heard if known is not None and not known.unknown(text)]
    return with_words(tokenizer, said + old, heard)


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
        sampler = TaskSampler(rng, EVERYTHING, chinese=0.4, is_held_out=number % 3 == 0)
        for turn in task(sampler).turns:
            yield turn.words
            if isinstance(turn.answer, str):
                yield turn.answer


@cache
def people_corpus() -> tuple[str, ...]:
    """Return samples of what people's lessons say."""
    rng = random.Random(2)
    # Words of another world stay in pieces: that is how one that was never met is known.
    tasks = [task for name, task in PEOPLE.items() if name != "strange"]
    samplers = (TaskSampler(rng, EVERYTHING, chinese=0.4) for _ in range(PEOPLE_SAMPLES))
    made = (tasks[number % len(tasks)](sampler) for number, sampler in enumerate(samplers))
    return tuple(dict.fromkeys(turn.words for conversation in made for turn in conversation.turns))


def bring_people(folder: Path) -> None:
    """Give the tokenizer in a folder words for what people say, and note that it knows them."""
    tokenizer, known = Tokenizer.from_file(str(folder / "tokenizer.json")), read_scope(folder)
    write_files(with_people(tokenizer, known), folder)
    write_scope(folder, known.words if known else frozenset())


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write the tokenizer's files as published; return the vocabulary."""
    vocabulary = write_files(make_tokenizer(), folder)
    write_scope(folder)
    return vocabulary


def write_scope(folder: Path, known: frozenset[str] = frozenset()) -> None:
    """Write what the model knows: what is said where it is used, and every word of its lessons."""
    words = known | {word for text in (*corpus(), *people_corpus()) for word in words_of(text)}
    content = {"says": SAYS, "words": sorted(words)}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    (folder / SCOPE_FILE).write_text(text, encoding="utf-8")


def vocabulary_of(folder: Path) -> dict[str, int]:
    """Return the vocabulary of a tokenizer that was written before."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab(with_added_tokens=True)
