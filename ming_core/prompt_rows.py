"""Reads a list of rows: a prompt a line, or a table with a column for each value.

Knows nothing about workflows; the command and the Prompt List node read the same lists.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ForeignError, RowError
from .foreign_files import read_bytes
from .foreign_text import plain, shown
from .list_encoding import decoded
from .spreadsheet import XLSX, sheet_rows

LONGEST_NAME = 120  # bytes; titles of nodes and endings follow
PROMPT, NAME, SEED = "prompt", "name", "seed"
LIST_SUFFIXES = (".txt", ".csv", ".tsv", XLSX)
_SEPARATORS = ",;\t|"
_TABLES = {".csv": ",", ".tsv": "\t"}
_KNOWN = (PROMPT, NAME, SEED)
_UNNAMED = re.compile(r"Unnamed: \d+", re.IGNORECASE)  # pandas names a nameless column so
# Windows keeps these for devices, whatever the ending.
_DEVICES = re.compile(
    r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])(?=\.|$)"
)

Line = tuple[int, Sequence[str]]  # its number in the file, and its cells


@dataclass(frozen=True)
class Row:
    """One row: the name of its results, and its cells that are not empty, by column."""

    name: str
    line: int
    cells: Mapping[str, str]


def read_rows(path: Path) -> list[Row]:
    """Read a list; raises RowError naming the line that is wrong."""
    source, suffix = plain(path), path.suffix.lower()
    try:
        content = read_bytes(path)
    except (ForeignError, FileNotFoundError) as error:
        raise RowError(f"{source}: cannot be read ({plain(error)}).") from error
    if suffix == XLSX:
        return _rows(source, _table(source, iter(sheet_rows(content, source))))
    return rows_of(decoded(content, source), suffix, source)


def rows_of(text: str, suffix: str, source: str) -> list[Row]:
    """Read the text of a list; its suffix tells tables from lines, `source` names it in errors."""
    separator = _separator(text, suffix)
    if separator is None:
        return _rows(source, _lines(text))
    return _rows(source, _table(source, _parsed(source, text, separator), separator))


def file_name(text: str) -> str:
    """Return a name that is safe for files on every system: no longer than they allow."""
    name = re.sub(r'[\s<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]+', "_", text.strip()).strip("._")
    name = name.encode()[:LONGEST_NAME].decode(errors="ignore") or "row"
    device = _DEVICES.match(name.upper())
    return f"{name[: device.end()]}_{name[device.end() :]}" if device else name


def _rows(source: str, found: Iterable[tuple[int, dict[str, str]]]) -> list[Row]:
    rows = [
        Row(file_name(cells.get(NAME) or f"{number:04}"), line, _without_name(cells))
        for number, (line, cells) in enumerate(found, 1)
    ]
    if not rows:
        raise RowError(
            f"{source}: holds no rows. Write one prompt a line, or a .csv whose first line names "
            "its columns, such as name,prompt,seed."
        )
    _refuse_twins(source, rows)
    return rows


def _separator(text: str, suffix: str) -> str | None:
    """What parts the cells: that which makes most columns of the first line; None for lines."""
    first = _first_line(text)
    if suffix not in _TABLES:  # Excel's "Unicode Text" is a table with tabs in a .txt
        columns = {_column(cell) for cell in _cells(first, "\t")}
        return "\t" if PROMPT in columns and len(columns) > 1 else None
    if first.lower().startswith("sep=") and len(first.rstrip()) == len("sep=;"):
        return first[4]
    usual = _TABLES[suffix]
    return max(_SEPARATORS, key=lambda mark: (len(_cells(first, mark)), mark == usual))


def _first_line(text: str) -> str:
    return next((line for line in io.StringIO(text, newline=None) if line.strip()), "")


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, entry in enumerate(io.StringIO(text, newline=None), 1):
        prompt = entry.strip()
        if prompt and not prompt.startswith("#"):
            yield line, {PROMPT: prompt}


def _parsed(source: str, text: str, separator: str) -> Iterator[Line]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            if reader.line_num > 1 or not ",".join(cells).lower().startswith("sep="):
                yield reader.line_num, cells
    except csv.Error as error:
        raise RowError(f"{source}, line {reader.line_num}: {error}.") from error


def _table(
    source: str, lines: Iterator[Line], separator: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    filled = [(line, cells) for line, cells in lines if any(cell.strip() for cell in cells)]
    if not filled:
        return
    columns = [_column(cell) for cell in filled[0][1]]
    named = [column for column in columns if column]
    if not named or len(set(named)) < len(named):
        raise RowError(
            f"{source}: its first line must name every column, each differently; it is "
            f"{shown(separator.join(filled[0][1]))}."
        )
    passed_over = _index_column(columns, filled[1:])
    for line, cells in filled[1:]:
        for place, cell in enumerate(cells):
            if cell.strip() and place != passed_over and not "".join(columns[place : place + 1]):
                raise RowError(_stray(source, line, cells, columns, separator))
        entries = zip(columns, cells, strict=False)
        kept = {column: cell for column, cell in entries if column and cell.strip()}
        if kept:
            yield line, kept


def _column(cell: str) -> str:
    """The name of a column; those that every list may have count in capitals as well."""
    name = cell.strip()
    if _UNNAMED.fullmatch(name):
        return ""
    return name.lower() if name.lower() in _KNOWN else name


def _index_column(columns: Sequence[str], lines: Sequence[Line]) -> int | None:
    """The first column, where it has no name and only counts the rows, as pandas writes it."""
    if columns[0]:
        return None
    numbers = [cells[0].strip() for _, cells in lines]
    starts = (range(first, first + len(numbers)) for first in (0, 1))
    return 0 if any(numbers == list(map(str, start)) for start in starts) else None


def _stray(
    source: str, line: int, cells: Sequence[str], columns: Sequence[str], separator: str
) -> str:
    num_named = sum(map(bool, columns))
    return (
        f"{source}, line {line}: has {len(cells)} cells for {num_named} columns. Put text with a "
        f"{separator!r} in it into quotes, with nothing in front of them, or name every "
        "column that holds something in the first line."
    )


def _without_name(cells: Mapping[str, str]) -> dict[str, str]:
    return {column: text for column, text in cells.items() if column != NAME}


def _refuse_twins(source: str, rows: list[Row]) -> None:
    """Two rows must not write the same files, also where upper and lower case are the same."""
    seen: dict[str, Row] = {}
    for row in rows:
        twin = seen.setdefault(row.name.casefold(), row)
        if twin is not row:
            raise RowError(
                f"{source}: lines {twin.line} and {row.line} are both named {row.name!r}; give "
                "each row a name of its own."
            )
