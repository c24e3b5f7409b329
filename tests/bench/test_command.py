"""`ming bench`: lines, tables, and wrong wishes refused in words."""

import json
from pathlib import Path

import pytest

from ming_bench import checks, report
from ming_bench.random_model import SIZES
from ming_cli.__main__ import main
from ming_core.families import convert


def run(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    code = main(["bench", "--device", "cpu", *words])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return shown.out.splitlines()


def test_command_prints_a_line_per_case_and_a_table(capsys: pytest.CaptureFixture[str]):
    words = "--size quick --precision fp32 bf16 --rows 2 --tokens 1 --repeats 1 --context 8"
    lines = run(capsys, *words.split())
    cases = [json.loads(line) for line in lines[:2]]
    assert [case["precision"] for case in cases] == ["fp32", "bf16"]
    assert cases[0]["errors"]["baseline"] < 1e-5
    assert 1e-5 < cases[1]["errors"]["fp32"] < 0.05
    for case in cases:
        assert case["routing"]["mode"] == "uniform"
        assert case["kernels"] == {"step": "eager", "fused": []}
        assert case["sizes"]["flow"]["depth"] == 2
        assert case["read_gb_per_s"] > 0
    sizes = [case["components"]["language_model"] for case in cases]
    assert sizes[0]["parameters"] == sizes[1]["parameters"]
    assert sizes[0]["bytes"]["float32"] == 2 * sizes[1]["bytes"]["bfloat16"]
    assert len(lines) == 2 + 1 + 1 + 4, "an empty line, a heading, and two rows a case"


def test_command_measures_a_checkpoint(tiny: Path, capsys: pytest.CaptureFixture[str]):
    words = "--rows 1 --tokens 1 --repeats 1 --no-baseline --json --step eager --context 8"
    (line,) = run(capsys, str(tiny), *words.split())
    case = json.loads(line)
    assert case["routing"]["mode"] == "model"
    assert case["routing"]["distinct_experts"] == 2, "one row chooses its top 2"
    assert case["baseline"] is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--step", "graph"], "needs CUDA"),
        (["--pictures", "0"], "count from 1"),
        (["--config", "no-such-folder"], "no-such-folder"),
        (["--cpu", "--solvers"], "cannot go with size, solvers"),
    ],
)
def test_wrong_wishes_are_refused_in_words(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["bench", "--device", "cpu", "--size", "quick", *words]) == 1
    assert expected in capsys.readouterr().err


def test_cpu_checks_end_with_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    small = SIZES["quick"]
    monkeypatch.setattr(checks, "SIZES", {"mid": small, "deep": small, "head": small})
    lines = run(capsys, "--cpu", "--quick", "--json", "--repeats", "1")
    figures = json.loads(lines[-1])
    wanted = {"ratio_3_rows", "ratio_2_rows", "batch4_over_4x1", "ops_per_token", "latent_error"}
    wanted |= {"bf16_3_rows", "int8_3_rows", "int4_3_rows", "int4_calibrated_3_rows"}
    assert wanted <= set(figures)
    assert figures["head_ops_per_token"] < figures["ops_per_token"]
    assert figures["latent_error"] < 1e-5
    assert len(lines) == len(figures) + 1


def test_revision_names_a_commit():
    assert report.revision() != "unknown"


@pytest.mark.parametrize("stored", ["int8", "int4"])
def test_a_quantised_folder_is_measured_as_what_it_holds(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stored: str
):
    folder = convert(tiny, tmp_path / "ming", quantise=stored)
    words = ["bench", str(folder), "--device", "cpu", "--tokens", "1"]
    quick = [*words, "--quick", "--repeats", "1", "--no-baseline", "--json"]
    for refused in ([*quick, "--precision", "fp32"], [*words, "--precision-report"]):
        assert main(refused) == 1
        out, err = capsys.readouterr()
        assert f"{folder} holds {stored}" in err
        assert not out
    assert main([*quick, "--precision", stored]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["precision"] == stored
    assert line["errors"]["fp32"] is None, "the exact weights are not there to compare with"
