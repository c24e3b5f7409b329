"""The engine against the published code's numbers, and the tool that compares them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ming_cli import comparison, verify

GOLDEN = Path(__file__).parents[1] / "golden"
SETS = ("a", "b", "c")
GROUPS = {
    "mingtok",
    "flow head: velocity",
    "flow head: sampling",
    "language model",
    "conversation",
    "preprocessing",
    "session chat",
    "session edit",
    "session t2i",
    "session two_images",
    "session understand",
}


@pytest.fixture(scope="module", params=SETS)
def report(request: pytest.FixtureRequest) -> verify.Report:
    return verify.verify(GOLDEN / request.param)


@pytest.mark.golden
def test_every_recorded_number_is_met_to_1e_5(report: verify.Report):
    assert report.worst <= 1e-5


@pytest.mark.golden
def test_every_group_is_compared(report: verify.Report):
    assert set(report.errors) == GROUPS


@pytest.mark.golden
def test_the_table_has_a_line_per_group_and_the_worst_error_last(report: verify.Report):
    lines = list(report.lines())
    assert len(lines) == len(GROUPS) + 1
    assert lines[-1] == f"worst relative error {report.worst:.3e}"


@pytest.fixture
def disturbed(tmp_path: Path) -> Path:
    """A recorded set with one figure of one tensor moved by a thousandth."""
    folder = tmp_path / "c"
    folder.mkdir()
    for source in (GOLDEN / "c").iterdir():
        (folder / source.name).symlink_to(source)
    recorded = load_file(GOLDEN / "c" / "sessions_io.safetensors")
    recorded["edit/r1.semantic"][0, 3, 5] += 1e-3 * recorded["edit/r1.semantic"].abs().max()
    (folder / "sessions_io.safetensors").unlink()
    save_file(recorded, folder / "sessions_io.safetensors")
    return folder


def run(folder: Path) -> int:
    import argparse

    return verify.main(argparse.Namespace(folder=folder))


def test_one_wrong_figure_fails_with_exit_code_1(disturbed: Path, capsys):
    assert run(disturbed) == 1
    assert "edit/r1.semantic" in capsys.readouterr().out


def test_an_exact_set_passes_with_exit_code_0(capsys):
    assert run(GOLDEN / "c") == 0
    assert "worst relative error" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("wrong", [torch.ones(3), torch.tensor([1.0, float("nan")])])
def test_another_shape_and_not_a_number_are_infinitely_wrong(wrong: torch.Tensor):
    assert comparison.relative_error(wrong, torch.ones(2)) == float("inf")
