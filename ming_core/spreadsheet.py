"""The cells of an .xlsx file as text, read by the package openpyxl where that is installed."""

import importlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from .errors import RowError
from .foreign_files import MOST_BYTES
from .foreign_text import plain

XLSX = ".xlsx"
MOST_CELLS, MOST_UNPACKED = 5_000_000, 8 * MOST_BYTES


def sheet_rows(content: bytes, source: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Every row of the sheet that was open when the file was saved, with its number."""
    try:
        openpyxl: Any = importlib.import_module("openpyxl")
    except ImportError as error:
        raise RowError(
            f"{source}: reading .xlsx takes the package openpyxl ({error}). Install it with "
            "`python -m pip install openpyxl` where ComfyUI runs, or save the table as CSV UTF-8."
        ) from error
    try:
        _refuse_bomb(content, source)
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        try:
            num_cells = 0
            for number, cells in enumerate(book.active.iter_rows(values_only=True), 1):
                num_cells += len(cells)
                if num_cells > MOST_CELLS:
                    raise _too_large(source)
                yield number, [_text(cell) for cell in cells]
        finally:
            book.close()
    except RowError:
        raise
    except Exception as error:  # the package raises many kinds for a damaged file, also late
        raise RowError(
            f"{source}: cannot be read as an Excel file ({type(error).__name__}: {plain(error)}). "
            "Save it again, or as CSV UTF-8."
        ) from error


def _refuse_bomb(content: bytes, source: str) -> None:
    """Refuse what unpacks to a multiple of what a list may hold; no file unpacks to more."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > MOST_UNPACKED:
            raise _too_large(source)


def _too_large(source: str) -> RowError:
    return RowError(
        f"{source}: is too large for a list: more than {MOST_CELLS:,} cells, empty ones among "
        f"them, or more than {MOST_UNPACKED:,} bytes. Copy the table into a new file, or save it "
        "as CSV UTF-8."
    )


def _text(cell: object) -> str:
    """A cell as it would stand in a CSV; whole numbers are floats in such files."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
