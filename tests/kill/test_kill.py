"""The short form of the killing: work that takes a second; the command does all of it, longer."""

import os
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.kill.forking import Work, kill_often  # noqa: E402
from tests.kill.works import WORKS  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("name", ["saving", "converting", "downloading"])
def test_nothing_half_is_whole_and_the_next_run_gives_the_same_bytes(name, tmp_path):
    tally = kill_often(WORKS[name](tmp_path / "first"), tmp_path / "killed", 4, Random(1))
    assert tally.killed == 4 and tally.finished >= 1


def half_written(place: Path) -> None:
    """Write in two steps under the name that counts."""
    import time

    with (place / "a").open("ab", buffering=0) as file:
        for _ in range(20):
            file.write(b"half")
            time.sleep(0.02)


def test_work_that_leaves_something_half_done_is_noticed(tmp_path):
    with pytest.raises(AssertionError, match=r"other bytes in \['a'\]"):
        kill_often(Work("half", half_written), tmp_path, 5, Random(1))
