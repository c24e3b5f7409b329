"""Lists are read as Excel, LibreOffice, Numbers and pandas write them."""

import io
import itertools
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ming_core import RowError, read_rows

CASES = Path(__file__).parents[1] / "run" / "cases"
TABLE = "name,prompt,seed\ncaf\u00e9,A \u201clarge\u201d red circle \u2013 na\u00efve.,7\n"
ROWS = [("caf\u00e9", {"prompt": "A \u201clarge\u201d red circle \u2013 na\u00efve.", "seed": "7"})]


def read(tmp_path, content, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(row.name, dict(row.cells)) for row in read_rows(path)]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "mac_roman"],
)
def test_any_encoding_of_the_west(tmp_path, encoding):
    assert read(tmp_path, TABLE.encode(encoding)) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "un c\u0153ur br\u00fbl\u00e9, M\u00fcller, o\u00f9, capharna\u00fcm",
        "cora\u00e7\u00e3o, bal\u00f5es, \u00e1gua, ling\u00fci\u00e7a",
        "rau\u00f0ur hringur \u00e1 bl\u00e1um grunni, \u00fer\u00edhyrningur",
        "punainen ympyr\u00e4, \u0161akki",
        "\u00f6\u00f6, \u00f5un, \u00e4mber, \u00fcmmargune",
        "2 m\u00b3, 1\u00ba piso, El ni\u00f1o peque\u00f1o est\u00e1 aqu\u00ed",
    ],
)
def test_every_language_of_the_west(tmp_path, text):
    got = read(tmp_path, f"prompt;seed\n{text};1\n".encode("cp1252"))
    assert got == [("0001", {"prompt": text, "seed": "1"})]


def test_a_capital_inside_a_word_tells_of_an_old_mac(tmp_path):
    assert "caf\u00e9".encode("mac_roman").decode("cp1252") == "caf\u017d"
    assert read(tmp_path, "prompt\ncaf\u00e9\n".encode("mac_roman"))[0][1]["prompt"] == "caf\u00e9"


def test_a_name_has_as_many_bytes_as_files_may_have(tmp_path):
    ((name, _),) = read(tmp_path, "name,prompt\na" + "\u5706" * 100 + ",x\n")
    assert name == "a" + "\u5706" * 39


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\u041a\u0440\u0430\u0441\u043d\u044b\u0439 \u043a\u0440\u0443\u0433", "cp1251"),
        ("\u4e00\u4e2a\u7ea2\u8272\u7684\u5706", "gbk"),
        ("\u8d64\u3044\u5186", "shift_jis"),
        ("Ma\u0142y \u017c\u00f3\u0142ty kot", "cp1250"),
        # Nothing but letters of the West in them, each in a place where no language there has it.
        ("\u010derven\u00fd \u010dtverec naho\u0159e", "cp1250"),
        ("\u010dierny \u0161tvorec", "cp1250"),
        ("piros k\u00f6r, s\u00e1rga n\u00e9gyzet, z\u00f6ld erd\u0151", "cp1250"),
        ("p\u0103trat ro\u015fu", "cp1250"),
        ("b\u00fcy\u00fck k\u0131rm\u0131z\u0131 y\u0131ld\u0131z", "cp1254"),
        ("raudonas apskritimas \u017ealia", "cp1257"),
    ],
)
def test_an_encoding_that_cannot_be_told_is_refused_not_guessed(tmp_path, text, encoding):
    with pytest.raises(RowError, match="not in UTF-8.*CSV UTF-8"):
        read(tmp_path, f"prompt,seed\n{text},1\n".encode(encoding))


@pytest.mark.parametrize("name", ["b2_semicolon", "b2b_semicolon_commas", "b5_caps"])
def test_tables_of_spreadsheets(name):
    (row,) = read_rows(CASES / f"{name}.csv")
    assert row.name == "apple" and row.cells["seed"] == "7"
    assert row.cells["prompt"].startswith("A large red circle")


@pytest.mark.parametrize("name", ["b3_trailing_empty_columns", "b3b_trailing_cells"])
def test_what_is_empty_counts_for_nothing(name):
    (row,) = read_rows(CASES / f"{name}.csv")
    assert dict(row.cells) == {"prompt": "A large red circle.", "seed": "7"}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_any_separator_under_any_ending(tmp_path, mark, suffix):
    text = mark.join(("name", "prompt")) + "\r\n" + mark.join(("a", '"x,y;z"')) + "\r\n"
    assert read(tmp_path, text, f"rows.{suffix}") == [("a", {"prompt": "x,y;z"})]


def test_excels_first_line_that_names_the_separator(tmp_path):
    assert read(tmp_path, "sep=;\nprompt;seed\na, b;1\n") == [
        ("0001", {"prompt": "a, b", "seed": "1"})
    ]


def test_excels_unicode_text_is_a_table_in_a_txt(tmp_path):
    content = "Prompt\tSeed\r\na cat\t7\r\n".encode("utf-16")
    assert read(tmp_path, content, "rows.txt") == [("0001", {"prompt": "a cat", "seed": "7"})]
    lines = read(tmp_path, "a\tb\rnext\r", "rows.txt")
    assert [cells["prompt"] for _, cells in lines] == ["a\tb", "next"]


@pytest.mark.parametrize("first", [0, 1])
def test_the_index_that_pandas_writes_is_passed_over(tmp_path, first):
    text = f",name,prompt\n{first},a,x\n{first + 1},b,y\n"
    assert read(tmp_path, text) == [("a", {"prompt": "x"}), ("b", {"prompt": "y"})]
    assert read(tmp_path, text.replace(",name", "Unnamed: 0,name"))[1] == ("b", {"prompt": "y"})


def test_a_nameless_column_that_says_something_is_named(tmp_path):
    with pytest.raises(RowError, match="line 2: has 2 cells for 1 columns"):
        read(tmp_path, ",prompt\n0,x\n5,y\n")


@pytest.mark.parametrize(
    ("content", "what"), [(b"\xd0\xcf\x11\xe0....", "an old Excel"), (b"PK\x03\x04..", "a packed")]
)
def test_spreadsheets_under_another_name_say_what_they_are(tmp_path, content, what):
    with pytest.raises(RowError, match=f"is {what}.*CSV UTF-8"):
        read(tmp_path, content, "rows.csv")


def test_a_workbook_is_read_where_its_reader_is_installed(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (["Name", "Prompt", "Seed"], ["CON", "a cat", 7.0], [None] * 3, ["b", "x", 8]):
        book.active.append(cells)
    book.save(tmp_path / "rows.xlsx")
    assert [(row.name, row.line, dict(row.cells)) for row in read_rows(tmp_path / "rows.xlsx")] == [
        ("CON_", 2, {"prompt": "a cat", "seed": "7"}),
        ("b", 4, {"prompt": "x", "seed": "8"}),
    ]


def packed(**parts: bytes) -> bytes:
    """A file of the kind that workbooks are, with nothing of a workbook in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


class Sheet:
    """Stands in for the reader of workbooks: a sheet of this many rows, or one that is broken."""

    def __init__(self, rows: int | None):
        self.rows, self.active = rows, self

    def load_workbook(self, _file: object, **_options: object) -> "Sheet":
        return self

    def iter_rows(self, **_options: object) -> Iterator[tuple[None, ...]]:
        if self.rows is None:
            raise KeyError("x" * 100_000)
        yield from itertools.repeat((None,) * 16384, self.rows)

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("rows", "content", "message"),
    [
        (1 << 20, packed(a=b""), "too large for a list"),
        (1, packed(a=b"\0" * (300 << 20)), "too large for a list"),
        (None, packed(a=b""), "cannot be read as an Excel file"),
        (1, b"PK\x03\x04", "cannot be read as an Excel file"),
    ],
    ids=["cells", "bytes", "broken", "cut"],
)
def test_a_workbook_is_read_within_bounds(tmp_path, monkeypatch, rows, content, message):
    monkeypatch.setitem(sys.modules, "openpyxl", Sheet(rows))
    with pytest.raises(RowError, match=message) as raised:
        read(tmp_path, content, "rows.xlsx")
    assert len(str(raised.value)) < 2000


def test_a_workbook_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(RowError, match="pip install openpyxl"):
        read(tmp_path, b"PK\x03\x04", "rows.xlsx")
