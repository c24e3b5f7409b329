"""What others wrote: read with bounds, named in short, and never more than an error of ours."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from ming_core import CheckpointError, ForeignError, MingError, list_checkpoints, looks_whole
from ming_core.families import open_checkpoint
from ming_core.foreign_code import guarded
from ming_core.foreign_files import entries_of, is_plain_file, read_text
from ming_core.foreign_json import DEEPEST, parse_json, read_any_json
from ming_core.foreign_text import is_text, plain, several, shown
from ming_core.tensor_files import TensorFiles
from ming_core.text_tokenizer import TextTokenizer
from ming_core.univision.tokenizer import ConversationTokenizer

HALF, INDEX = "\ud83d", "model.safetensors.index.json"


class Panic(BaseException):
    """As a package in another language raises it: no Exception."""


class HostStopsError(Exception):
    """As a host ends what runs."""


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_the_smallest_number_that_hosts_tell_is_read():
    assert parse_json("[-18446744073709551615]", "it") == [-(2**64 - 1)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{oops", "JSON"),
        ("", "JSON"),
        (nested(DEEPEST + 1), "nested"),
        (nested(100_000), "nested"),
        ('{"a":' * 50_000, "nested"),
        ('{"a": ' + "9" * 400 + "}", "400 digits"),
        ('{"a": 1e999}', "finite"),
        ('{"a": -1e999}', "finite"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is there twice"),
        ('{"a": "\\ud83d"}', "half a character"),
        (b'{"a": "\xff"}', "UTF-8"),
    ],
    ids=range(11),
)
def test_json_that_two_readers_would_read_differently_is_refused(text, words):
    with pytest.raises(ForeignError, match="the file") as refused:
        parse_json(text, "the file")
    assert words in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_everything_else_is_read_as_it_is():
    kept = {"a": [1, 2.5, None, True, "\N{PURPLE HEART}"], "seed": 2**64 - 1, "low": -(2**63)}
    assert parse_json(json.dumps(kept), "") == kept
    assert parse_json(("\ufeff" + json.dumps(kept, ensure_ascii=False)).encode(), "") == kept
    assert parse_json('"\\\\ud83d"', "") == "\\ud83d"
    assert parse_json(nested(DEEPEST), "")
    assert parse_json("[-Infinity, 1e300]", "") == [-float("inf"), 1e300]  # of a published config


def test_a_name_that_is_there_twice_is_found_among_many():
    """Counting each of them would take hours."""
    names = [f'"{i}": 0' for i in range(200_000)]
    with pytest.raises(ForeignError, match="'199999' is there twice"):
        parse_json("{" + ", ".join([*names, names[-1]]) + "}", "")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    pipe, folder, link = (tmp_path / name for name in ("pipe", "folder", "link"))
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    for path in (pipe, folder, link, tmp_path / ("n" * 300), tmp_path / "a\0b"):
        assert not is_plain_file(path)
        with pytest.raises((ForeignError, FileNotFoundError)):
            read_text(path)
    (tmp_path / "large").write_bytes(b" " * 11)
    with pytest.raises(ForeignError, match="larger than 10 bytes"):
        read_text(tmp_path / "large", most=10)


def test_names_that_cannot_be_shown_are_passed_over(tmp_path: Path):
    for name in (b"plain", b"not utf-8 \xff", b"line\nbreak", "中文 名\u3000字".encode()):
        (tmp_path / os.fsdecode(name)).touch()
    assert [path.name for path in entries_of(tmp_path)] == ["plain", "中文 名\u3000字"]
    assert is_text("🟣 a") and not is_text(HALF) and not is_text("\x1b[2J")


class Rude:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    ["x" * 100_000, ["y" * 5000] * 5000, {"k" * 5000: {"v": [1] * 9000}}, 10**5000, Rude(), HALF],
    ids=["text", "list", "dict", "number", "rude", "half"],
)
def test_messages_name_values_in_short_and_can_be_printed(value):
    for text in (shown(value), plain(value), plain([value])):
        assert 0 < len(text) < 600
        text.encode()


def test_of_many_names_the_first_are_listed():
    assert several(["a", "b"], " -> ") == "a -> b" and several([]) == ""
    listed = several(["x" * 100_000] * 100_000)
    assert listed.endswith(" and 99980 more") and len(listed) < 6000


def test_short_values_are_shown_whole():
    value = {"type": "linear", "factor": [1, "中"]}
    assert shown(value) == repr(value)
    assert plain("two\nlines\x1b") == "two\nlines\\x1b"


@pytest.mark.parametrize("raised", [Panic("a panic"), Exception("bare"), ValueError("odd")])
def test_what_foreign_code_raises_becomes_an_error_of_ours(raised):
    with pytest.raises(CheckpointError, match=str(raised)), guarded(CheckpointError):
        raise raised


@pytest.mark.parametrize(
    "raised",
    [
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        HostStopsError(),
        asyncio.CancelledError(),
    ],
)
def test_what_ends_a_run_passes(raised):
    with pytest.raises(type(raised)), guarded(MingError):
        raise raised


class Tokenizers:
    """Stands for the package: raises at one of its calls, whatever it is given."""

    def __init__(self, real: object, call: str, raised: BaseException):
        self._real, self._call, self._raised = real, call, raised

    def __getattr__(self, name: str):
        if name != self._call:
            return getattr(self._real, name)

        def fail(*_args: object, **_options: object):
            raise self._raised

        return fail


@pytest.mark.parametrize("call", ["from_str", "get_vocab", "token_to_id"])
@pytest.mark.parametrize("raised", [Panic("index out of bounds"), Exception("no such thing")])
def test_a_panic_while_a_tokenizer_is_loaded_names_the_file(tiny, monkeypatch, call, raised):
    from ming_core import text_tokenizer as module

    real = module.Tokenizer
    if call == "from_str":
        monkeypatch.setattr(module, "Tokenizer", Tokenizers(real, call, raised))
    else:

        class Made:
            @staticmethod
            def from_str(text: str):
                return Tokenizers(real.from_str(text), call, raised)

        monkeypatch.setattr(module, "Tokenizer", Made)
    with pytest.raises(CheckpointError, match=str(raised)) as refused:
        ConversationTokenizer.load(tiny / "Ming-UniVision")
    assert "tokenizer.json" in str(refused.value)


@pytest.mark.parametrize("call", ["encode", "decode"])
def test_a_panic_while_words_are_read_or_written_is_an_error_of_ours(tiny, call):
    tokenizer = ConversationTokenizer.load(tiny / "Ming-UniVision")

    def broken(raised: BaseException) -> TextTokenizer:
        twin = ConversationTokenizer.load(tiny / "Ming-UniVision")
        twin._plain = Tokenizers(tokenizer._plain, call, raised)
        twin._full = Tokenizers(tokenizer._full, call, raised)
        return twin

    def use(twin: TextTokenizer) -> object:
        return twin.encode(["a cat"]) if call == "encode" else twin.decode([5, 6])

    for raised in (Panic("slice"), Exception("bare")):
        with pytest.raises(MingError, match=str(raised)):
            use(broken(raised))
    for raised in (KeyboardInterrupt(), HostStopsError(), SystemExit()):
        with pytest.raises(type(raised)):
            use(broken(raised))


BROKEN = [
    nested(100_000),
    '{"llm_config": ' * 50_000,
    '{"llm_config": {"hidden_size": ' + "9" * 400 + "}}",
    '{"llm_config": "\\udc80"}',
    "[" * 40,
    "\0",
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("name", ["config.json", INDEX, "ming_components.json"])
def test_a_bad_file_beside_a_good_checkpoint_hides_nothing_else(checkpoint, text, name):
    bad = checkpoint.folder / "bad"
    bad.mkdir()
    (bad / name).write_text(text)
    (checkpoint.folder / os.fsdecode(b"odd \xff")).mkdir()
    (checkpoint.folder / "n" / "m").mkdir(parents=True)
    os.mkfifo(checkpoint.folder / "n" / "config.json")
    assert list_checkpoints(checkpoint.folder) == ["Ming-UniVision"]
    assert not looks_whole(bad)
    (checkpoint.big / name).write_text(text)
    with pytest.raises(CheckpointError, match=name), open_checkpoint(checkpoint.big):
        pass


@pytest.mark.parametrize("offsets", [[], [0], "ab", {}, None, [0, "1"], [10**18, 10**18]])
def test_odd_offsets_are_not_whole(tmp_path: Path, offsets):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert not looks_whole(tmp_path)
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        TensorFiles(tmp_path)


def test_pipes_among_the_weights_are_no_weights(tmp_path: Path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no weights"):
        TensorFiles(tmp_path)
    assert not looks_whole(tmp_path)


def test_a_tokenizer_file_of_any_kind_is_refused_by_its_name(checkpoint):
    path = checkpoint.big / "tokenizer.json"
    for text in (*BROKEN, "[]", "{}", '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
            ConversationTokenizer.load(checkpoint.big)


def test_any_json_file_is_named_by_its_reader(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text("{oops")
    with pytest.raises(ForeignError, match=r"x\.json"):
        read_any_json(path)
