"""Other words are read as taught ones, and nothing that is taught is read otherwise."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from ming_core import GENERATE_PREFIX
from training.misspelt import WORDS
from training.reading import SYNONYMS, SYNONYMS_ZH, normalizer, taught_words
from training.tokenizer import corpus

BUNDLED = Path(__file__).resolve().parents[2] / "bundled" / "Ming-UniVision" / "tokenizer.json"


@pytest.fixture(scope="module")
def taught() -> frozenset[str]:
    return taught_words(corpus())


@pytest.fixture(scope="module")
def bundled() -> Tokenizer:
    return Tokenizer.from_file(str(BUNDLED))


def test_nothing_that_lessons_say_is_read_otherwise(bundled: Tokenizer):
    reading = bundled.normalizer
    assert reading is not None
    for text in {*corpus(), GENERATE_PREFIX, "HUMAN", "ASSISTANT", "\n"}:
        assert reading.normalize_str(text) == text


def test_the_bundled_tokenizer_reads_as_this_code_does(bundled: Tokenizer, taught: frozenset[str]):
    reading, shipped = normalizer(taught), bundled.normalizer
    assert shipped is not None
    others = "|".join([*SYNONYMS.values(), *SYNONYMS_ZH.values()]).split("|")
    slips = [f"{word[:-2]}{word[-1]}{word[-2]}" for word in WORDS.split()]
    for text in {*others, *slips}:
        assert shipped.normalize_str(text) == reading.normalize_str(text)


@pytest.mark.parametrize("table", [SYNONYMS, SYNONYMS_ZH], ids=["English", "Chinese"])
def test_every_other_word_is_read_as_one_that_was_taught(
    table: dict[str, str], bundled: Tokenizer, taught: frozenset[str]
):
    reading = bundled.normalizer
    assert reading is not None
    for word, others in table.items():
        for other in set(others.split("|")) - taught:
            assert reading.normalize_str(other) == word


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("DRAW A RED STAR ON A BLUE BACKGROUND.", "Draw a red star on a blue background."),
        ("two violet balls, top-right", "two purple circles, at the top right"),
        ("a Red box on an orange background", "a red square on a orange background"),
        ("an orange heart", "an orange heart"),
        ("a gren trianlge on the botom left", "a green triangle on the bottom left"),
        ("the back can hear the crown", "the back can hear the crown"),
        ("a gray lozenge in the top left corner", "a grey diamond in the top left corner"),
        ("Goldfish and dotted lines", "Goldfish and dotted lines"),
        ("底色用白的", "背景用白色的"),
        ("蓝绿色的圆圈", "蓝绿色的圆形"),
    ],
)
def test_a_prompt_is_read(typed: str, read: str, bundled: Tokenizer):
    reading = bundled.normalizer
    assert reading is not None
    assert reading.normalize_str(typed) == read
