"""The short form of the fuzzer: some cases of every target, and whether it sees what it must."""

import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # processes of their own import it by this name

from tests.fuzz import stand_ins  # noqa: E402
from tests.fuzz.judging import WrongResultError, expect, ours  # noqa: E402
from tests.fuzz.mutators import mutated_json  # noqa: E402
from tests.fuzz.targets import ALL, Target, chosen  # noqa: E402
from tests.fuzz.watching import Runner  # noqa: E402

SEED, CASES = 20261129, 600  # as `--seed` and `--cases`; minutes are a bound that is not reached


@pytest.mark.parametrize("target", chosen(()), ids=lambda target: target.name)
def test_nothing_but_right_results_and_errors_of_ours(target, tmp_path):
    runner = Runner(SEED, tmp_path, time.monotonic() + 600)
    count = CASES * target.share // sum(t.share for t in ALL)
    assert list(runner.run(target, range(count))) == []
    assert runner.num_cases == {target.name: count}


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (stand_ins.raises, "KeyError"),
        (stand_ins.writes_outside, "files outside"),
        (stand_ins.ends_the_process, "ended (3)"),
    ],
)
def test_what_must_not_happen_is_found_and_the_other_cases_go_on(prepare, words, tmp_path):
    runner = Runner(0, tmp_path, time.monotonic() + 600)
    found = list(runner.run(Target("stand-in", 1, prepare), range(8)))
    assert found and all(words in finding.what for finding in found)
    assert runner.num_cases == {"stand-in": 8}


def test_a_case_is_the_same_again():
    made = [mutated_json(ALL[0].dice(3, 5), {"a": [1, {"b": "c"}]}) for _ in range(2)]
    assert made[0] == made[1] != mutated_json(ALL[0].dice(3, 6), {"a": [1, {"b": "c"}]})


def test_a_message_without_an_end_is_no_message():
    with pytest.raises(WrongResultError, match="100000 characters"), ours(ValueError):
        raise ValueError("x" * 100_000)
    with pytest.raises(KeyError), ours(ValueError):
        raise KeyError
    with pytest.raises(WrongResultError, match="why"):
        expect(False, "why")
