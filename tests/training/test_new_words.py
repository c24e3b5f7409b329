"""A tokenizer and a model that get new words keep the old ones; slips are read as was meant."""

import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from ming_bench.tiny_checkpoint.config import ming_config
from ming_bench.tiny_checkpoint.tokenizer import write_files
from ming_core import load_model
from ming_core.scope import read_scope
from training import tokenizer as tokenizer_module
from training.build import begin_with, fresh_components
from training.new_words import grown_rows, with_words
from training.sizes import PRESETS
from training.tokenizer import bring_people, corpus, people_corpus, vocabulary_of

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
SAID = ["kindly sketch a circle", "kindly sketch the star", "kindly sketch", "咋样有星形", "咋样"]


@pytest.fixture(scope="module")
def known() -> list[str]:
    return sorted({*corpus()})


@pytest.fixture(scope="module")
def bundled() -> Tokenizer:
    return Tokenizer.from_file(str(BUNDLED / "Ming-UniVision" / "tokenizer.json"))


def test_new_words_become_tokens_and_old_texts_are_cut_as_ever(
    bundled: Tokenizer, known: list[str]
):
    more = with_words(bundled, known, SAID)
    for text in known[::6]:
        assert more.encode(text).tokens == bundled.encode(text).tokens
    assert len(bundled.encode("kindly sketch").tokens) > 2
    assert len(more.encode("kindly sketch").tokens) == 2
    assert len(more.encode("咋样").tokens) == 1 < len(bundled.encode("咋样").tokens)
    for text in SAID:
        assert more.decode(more.encode(text).ids) == text
    assert with_words(more, known, SAID).get_vocab() == more.get_vocab()


def test_a_tokenizer_with_peoples_words_gets_only_those_it_lacks(tmp_path, monkeypatch):
    """However the lessons' samples fall: what is cut otherwise is new to the model."""
    for file in (BUNDLED / "Ming-UniVision").glob("*.json"):
        shutil.copy(file, tmp_path / file.name)
    before = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    scope = read_scope(tmp_path)
    assert scope is not None
    said = [*people_corpus(), "could you embroider a circle", "please embroider the star"]
    monkeypatch.setattr(tokenizer_module, "people_corpus", lambda: tuple(said))
    bring_people(tmp_path)
    after, grown = Tokenizer.from_file(str(tmp_path / "tokenizer.json")), read_scope(tmp_path)
    assert grown is not None and scope.words < grown.words and "embroider" in grown.words
    assert len(after.encode(" embroider").tokens) < len(before.encode(" embroider").tokens)
    texts = [text for text in said if not scope.unknown(text)]
    assert len(texts) > 1000
    for text in texts:
        assert after.encode(text).tokens == before.encode(text).tokens, text


def test_what_people_say_is_short_in_the_tokenizer_of_a_new_run(vocabulary):
    folder, _ = vocabulary
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [*dict.fromkeys(people_corpus())][:600]
    tokens = sum(len(tokenizer.encode(text).ids) for text in texts)
    words = sum(len(text.split()) if text.isascii() else len(text) for text in texts)
    assert tokens < 1.35 * words


def test_rows_of_known_words_stay_and_other_spellings_begin_as_them():
    before = {"Ġdraw": 0, "Ġstar": 1, "x": 2, "<image>": 3}
    now = {"Ġdraw": 0, "Ġstar": 1, "x": 2, "Draw": 3, "Ġcould": 4, "<image>": 5}
    rows = torch.tensor([[1.0], [3.0], [7.0], [9.0]])
    grown = grown_rows(rows, before, now, 8)
    assert grown.flatten().tolist() == [1.0, 3.0, 7.0, 1.0, 2.0, 9.0, 2.0, 2.0]


def test_a_model_with_more_words_reads_old_ones_as_before(
    bundled: Tokenizer, known: list[str], tmp_path: Path
):
    write_files(with_words(bundled, known, SAID), tmp_path)
    words, before = vocabulary_of(tmp_path), vocabulary_of(BUNDLED / "Ming-UniVision")
    components = fresh_components(ming_config(PRESETS["deep"], words), 0)
    begin_with(components, BUNDLED, words)
    old = load_model(BUNDLED).parts.language_model.transformer
    new = components.language_model.transformer
    for token in ("Ġstar", "<image>", "</role>", "<|endoftext|>", "çº¢èī²"):
        was, now = before[token], words[token]
        assert torch.equal(new.word_embeddings.weight[now], old.word_embeddings.weight[was].float())
    assert words["<image>"] != before["<image>"]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a gren trianlge on the botom left", "a green triangle on the bottom left"),
        ("cricles and sqaures", "circles and squares"),
        ("Whte backgorund", "white background"),
        ("let me see a form with a start", "let me see a form with a start"),
        ("the back can hear the crown", "the back can hear the crown"),
        ("squared hearts left", "squared hearts left"),
    ],
)
def test_slips_are_read_as_what_was_meant_and_words_are_left_alone(
    typed: str, read: str, vocabulary
):
    folder, _ = vocabulary
    reading = Tokenizer.from_file(str(folder / "tokenizer.json")).normalizer
    assert reading is not None
    assert reading.normalize_str(typed) == read
