"""Reads a list of rows: a prompt a line, or a table with a column for each value.

Knows nothing about workflows; the command and the Prompt List node read the same lists.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ForeignError, RowError
from .foreign_files import read_text
from .foreign_text import plain, shown

LONGEST_NAME = 120  # bytes; titles of nodes and endings follow
PROMPT, NAME = "prompt", "name"
LIST_SUFFIXES = (".txt", ".csv", ".tsv")
_TABLES = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Row:
    """One row: the name of its results, and its cells that are not empty, by column."""

    name: str
    line: int
    cells: Mapping[str, str]


def read_rows(path: Path) -> list[Row]:
    """Read a list; raises RowError naming the line that is wrong."""
    try:
        text = read_text(path)
    except (ForeignError, FileNotFoundError) as error:
        raise RowError(f"{plain(path)}: cannot be read as UTF-8 text ({plain(error)}).") from error
    return rows_of(text, path.suffix.lower(), plain(path))


def rows_of(text: str, suffix: str, source: str) -> list[Row]:
    """Read the text of a list; its suffix tells tables from lines, `source` names it in errors."""
    delimiter = _TABLES.get(suffix)
    found = list(_table(source, text, delimiter) if delimiter else _lines(text))
    if not found:
        raise RowError(
            f"{source}: holds no rows. Write one prompt a line, or a .csv whose first line names "
            "its columns, such as name,prompt,seed."
        )
    rows = [
        Row(_file_name(cells.get(NAME) or f"{number:04}"), line, _without_name(cells))
        for number, (line, cells) in enumerate(found, 1)
    ]
    _refuse_twins(source, rows)
    return rows


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, entry in enumerate(io.StringIO(text), 1):
        prompt = entry.strip()
        if prompt and not prompt.startswith("#"):
            yield line, {PROMPT: prompt}


def _table(source: str, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        if "" in columns or len(set(columns)) < len(columns):
            raise RowError(
                f"{source}: its first line must name every column, each differently; it is "
                f"{shown(delimiter.join(columns))}."
            )
        for entries in reader:
            if len(entries) > len(columns):
                raise RowError(
                    f"{source}, line {reader.line_num}: has {len(entries)} cells for "
                    f"{len(columns)} columns. Put text with a {delimiter!r} in it into quotes."
                )
            cells = dict(zip(columns, entries, strict=False))
            if any(text.strip() for text in cells.values()):
                yield reader.line_num, {k: v for k, v in cells.items() if v.strip()}
    except csv.Error as error:
        raise RowError(f"{source}, line {reader.line_num}: {error}.") from error


def _without_name(cells: Mapping[str, str]) -> dict[str, str]:
    return {column: text for column, text in cells.items() if column != NAME}


def _file_name(text: str) -> str:
    """Return a name that is safe for files on every system: no longer than they allow."""
    name = re.sub(r'[\s<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]+', "_", text.strip()).strip("._")
    return name.encode()[:LONGEST_NAME].decode(errors="ignore") or "row"


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
