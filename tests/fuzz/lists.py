"""Lists of prompts and tables with cells, marks, bytes and names gone wrong."""

from pathlib import Path
from random import Random

from ming_core import LIST_SUFFIXES, MingError, read_rows

from .checkpoints import Case
from .judging import expect, ours
from .mutators import mutated_bytes, odd_value

CELLS = ("a red circle", "b", "", "7", "1,5", "1e400", '"', "'", "=1+1", "x\ty", "a;b", "\r", "#")
HEADS = ("prompt", "name", "seed", "steps", "AR Generate.prompt", "", "prompt", "picture")
FORBIDDEN = '<>:"/\\|?*\0\n'


def lists(folder: Path) -> Case:
    """Files of every kind that is read as a list."""

    def case(dice: Random) -> None:
        path = folder / f"list{dice.choice(LIST_SUFFIXES)}"
        path.write_bytes(_table(dice))
        with ours(MingError):
            rows = read_rows(path)
            names = [row.name for row in rows]
            expect(len(set(names)) == len(names), "two rows of one name")
            for row in rows:
                _expect_a_file_name(row.name)
                "".join(f"{key}{value}" for key, value in row.cells.items()).encode()

    return case


def _expect_a_file_name(name: str) -> None:
    expect(0 < len(name.encode()) <= 255, f"a name of {len(name.encode())} bytes")
    expect(not set(name) & set(FORBIDDEN) and name not in (".", ".."), "a name that is no file's")


def _table(dice: Random) -> bytes:
    delimiter, end = dice.choice(",,;\t|"), dice.choice(("\n", "\n", "\r\n", "\r"))
    width = dice.randint(1, 5)
    lines = [delimiter.join(dice.choice(HEADS) for _ in range(width))]
    for _ in range(dice.randint(0, 6)):
        cells = [_cell(dice) for _ in range(dice.choice((width, width, width, width + 1, 1)))]
        lines.append(delimiter.join(cells))
    text = end.join(lines)
    content = text.encode(dice.choice(("utf-8", "utf-8-sig", "utf-16")), "surrogatepass")
    return mutated_bytes(dice, content) if dice.random() < 0.4 else content


def _cell(dice: Random) -> str:
    return str(odd_value(dice)) if dice.random() < 0.2 else dice.choice(CELLS)
