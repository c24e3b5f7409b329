"""The node that turns a list of prompts into a run for each of them."""

from collections.abc import Sequence
from pathlib import Path

from comfy_api.latest import io

from ..ming_core import (
    LIST_SUFFIXES,
    PROMPT,
    SEED,
    Row,
    RowError,
    read_rows,
    rows_of,
    shown,
    whole_number,
)
from .host import files
from .schema import MAX_SEED, node_schema, seed_input, widget

NO_FILE = "none"


class PromptList(io.ComfyNode):
    """Prompt List: whatever its outputs are connected to runs once per row."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "PromptList",
            display_name="Prompt List",
            description="Gives one prompt, seed and name per row; connected nodes run once for "
            "each. The first error ends the run: `ming batch` goes on and can be resumed.",
            search_aliases=["batch", "csv", "prompts from file"],
            inputs=[
                widget(
                    io.String,
                    "prompts",
                    multiline=True,
                    default="",
                    tooltip="One prompt a line; lines with # in front are passed over.",
                ),
                widget(
                    io.Combo,
                    "file",
                    options=[NO_FILE, *_files()],
                    default=NO_FILE,
                    tooltip="Instead of the text: a .txt with a prompt a line, or a table (.csv, "
                    ".tsv, .xlsx) with a column prompt and, if you like, seed and name, in the "
                    "input folder.",
                ),
                seed_input(),
            ],
            outputs=[
                io.String.Output("prompt", is_output_list=True, tooltip="The prompts."),
                io.Int.Output(
                    SEED,
                    is_output_list=True,
                    tooltip="The column seed; without one, row i gets seed + i.",
                ),
                io.String.Output(
                    "name",
                    is_output_list=True,
                    tooltip="The column name, else 0001 and on; for the file names of results.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        # The host hands None for a linked input, whose value it does not know yet.
        return file in (None, NO_FILE, *_files()) or _no_list(file)

    @classmethod
    def fingerprint_inputs(
        cls, prompts: str | None, file: str | None, **_others: object
    ) -> str | None:
        path = _files().get(file) if isinstance(file, str) else None
        return f"{path.stat().st_mtime_ns} {path.stat().st_size}" if path else prompts

    @classmethod
    def execute(cls, prompts: str, file: str, seed: int) -> io.NodeOutput:
        rows = _rows(prompts, file)
        return io.NodeOutput(
            [_prompt_of(row) for row in rows],
            [_seed_of(row, seed + number) for number, row in enumerate(rows)],
            [row.name for row in rows],
        )


def _files() -> dict[str, Path]:
    """The lists in the input folder by name; only what was found can be chosen."""
    return {path.name: path for path in files.input_files(LIST_SUFFIXES)}


def _rows(prompts: str, file: str) -> Sequence[Row]:
    if file == NO_FILE:
        return rows_of(prompts, ".txt", "The list")
    path = _files().get(file)
    if path is None:  # it has gone, or was named by a link
        raise RowError(_no_list(file))
    return read_rows(path)


def _no_list(file: str | None) -> str:
    return f"There is no list {shown(file)} in the input folder. Refresh the page to see which are."


def _prompt_of(row: Row) -> str:
    if PROMPT not in row.cells:
        raise RowError(f"line {row.line} has no prompt; the table needs a column named prompt.")
    return row.cells[PROMPT]


def _seed_of(row: Row, otherwise: int) -> int:
    text = row.cells.get(SEED)
    try:
        return (otherwise if text is None else whole_number(text)) & MAX_SEED
    except ValueError as error:
        raise RowError(f"line {row.line}: the seed {error}.") from None
