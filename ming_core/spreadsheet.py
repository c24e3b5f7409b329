"""The cells of an .xlsx file as text, read by the package openpyxl where that is installed."""

import importlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

from .errors import RowError

XLSX = ".xlsx"


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
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except Exception as error:  # the package raises many kinds for a damaged file
        raise RowError(
            f"{source}: cannot be read as an Excel file ({type(error).__name__}: {error}). Save "
            "it again, or as CSV UTF-8."
        ) from error
    try:
        for number, cells in enumerate(book.active.iter_rows(values_only=True), 1):
            yield number, [_text(cell) for cell in cells]
    finally:
        book.close()


def _text(cell: object) -> str:
    """A cell as it would stand in a CSV; whole numbers are floats in such files."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
