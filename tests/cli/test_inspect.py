"""`ming inspect` counts what is there, names what is not, and judges the machine."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_cli.__main__ import main
from ming_cli.inspect import Verdict, inspect, room_of
from ming_cli.machine import Machine
from ming_core import load_model
from ming_core.fitting import How, Need, choose
from ming_core.quantisation import QUANTISATIONS

GIB = 1 << 30
GOLDEN_LITE = Path(__file__).parents[1] / "golden_lite"
DESKTOP = Machine(free_ram=16 * GIB, total_ram=32 * GIB)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "copy")


def test_counts_equal_the_loaded_model(tiny: Path):
    found = inspect(tiny, DESKTOP)
    counted = {size.name: size.parameters for size in found.components}
    for name, module in load_model(tiny).components.items():
        assert counted[name] == sum(parameter.numel() for parameter in module.parameters())
    assert found.is_usable
    assert {size.dtypes for size in found.components} == {("BF16",)}
    assert [verdict.precision for verdict in found.verdicts] == [
        "fp32",
        "bf16",
        "fp16",
        *QUANTISATIONS,
    ]
    sizes = {verdict.precision: verdict.weight_bytes for verdict in found.verdicts}
    assert sizes["bf16"] == sizes["fp16"] < sizes["fp32"]
    assert sizes["int4"] < sizes["int4-experts"] < sizes["int8"] < sizes["fp32"]


def test_a_missing_shard_is_named(copy: Path):
    (copy / "Ming-UniVision" / "model-00002-of-00002.safetensors").unlink()
    found = inspect(copy, DESKTOP)
    assert not found.is_usable
    assert "model-00002-of-00002.safetensors" in found.problems[0]


def test_a_tokenizer_of_another_model_is_refused(copy: Path):
    path = copy / "Ming-UniVision" / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("<imagePatch>", "<other>"))
    assert "<imagePatch>" in inspect(copy, DESKTOP).problems[0]


def test_a_card_too_small_for_16_bit_is_advised_8_bit():
    machine = Machine(64 * GIB, 64 * GIB, "card", 24 * GIB, 24 * GIB, has_fast_bf16=True)
    gb = 10**9
    needs = [
        Need("bf16", weights=38 * gb, drawing=37 * gb, waiting=31 * gb, working=gb),
        Need("int8", weights=21 * gb, drawing=20 * gb, waiting=16 * gb, working=gb),
    ]
    room = room_of(machine)
    hows = [Verdict.of(need, room).how for need in needs]
    assert hows == ["gpu, experts streamed from main memory", "gpu"]
    assert choose(needs, room).need.precision == "int8"


def test_a_figure_against_the_tensors_is_named(copy: Path):
    path = copy / "Ming-UniVision" / "config.json"
    config = json.loads(path.read_text())
    config["llm_config"]["num_hidden_layers"] = 3
    path.write_text(json.dumps(config))
    problems = inspect(copy, DESKTOP).problems
    assert any("num_hidden_layers" in problem for problem in problems)
    assert any("missing: model.model.layers.2" in problem for problem in problems)


@pytest.mark.parametrize(
    ("machine", "precision", "how"),
    [
        (DESKTOP, "fp32", "cpu"),
        (Machine(16 * GIB, 32 * GIB, "card", 8 * GIB, 8 * GIB, has_fast_bf16=True), "bf16", "gpu"),
        (Machine(16 * GIB, 32 * GIB, "old card", 8 * GIB, 8 * GIB), "fp16", "gpu"),
        (Machine(None, None), "fp32", "cpu"),
    ],
    ids=["cpu", "gpu", "gpu without bf16", "unknown memory"],
)
def test_advice_fits_the_machine(tiny: Path, machine: Machine, precision: str, how: str):
    found = inspect(tiny, machine)
    assert found.recommended == precision
    assert {verdict.precision: verdict.how for verdict in found.verdicts}[precision] == how


def test_a_machine_without_memory_is_told_so(tiny: Path):
    found = inspect(tiny, Machine(free_ram=1000, total_ram=2000))
    assert not found.is_usable
    assert found.recommended is None
    assert "main memory" in found.verdicts[0].how


def test_json_holds_the_whole_report(tiny: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(tiny), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["is_usable"] is True
    assert {entry["name"] for entry in report["components"]} >= {"language_model", "pixel_decoder"}


def test_an_unusable_folder_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().out


def particulars_of(folder: Path) -> dict[str, str]:
    found = inspect(folder, DESKTOP)
    assert found.is_usable
    assert [verdict.precision for verdict in found.verdicts][-2:] == ["int8", "int4"]
    return found.particulars


def test_ming_lite_uni_says_what_nobody_knows_of_its_weights():
    whole = particulars_of(GOLDEN_LITE / "a")
    assert "flat" in whole["qwen2_5_vit"] and "54 BF16" in whole["qwen2_5_vit"]
    assert "vocabulary 400, not tied; rope_theta 1e+06" in whole["qwen2_5_llm"]
    assert "34 of the 34" in whole["tokenizer"] and "338 to 371" in whole["tokenizer"]
    assert whole["answers end"] == "[316, 318]"
    assert "0 tensors of sana.*" in whole["mlp"]
    assert "sample_size 16 (512 x 512); timestep_scale 1;" in whole["transformer"]
    assert whole["scheduler"] == "FlowMatchEulerDiscreteScheduler; shift 3"
    other = particulars_of(GOLDEN_LITE / "b")
    assert "under vision_config" in other["qwen2_5_vit"]
    assert "tied; rope_theta 500000; eps 1e-05" in other["qwen2_5_llm"]
    assert "model-00001-of-00002.safetensors and 1 more" in other["qwen2_5_llm"]
    assert "0 of the 34" in other["tokenizer"]
    assert "2 tensors of sana.*" in other["mlp"]
    assert "scaling_factor 0.7" in other["vae"]
    assert other["scheduler"] == "DPMSolverMultistepScheduler; shift 1, flow_shift has no effect"


def test_remains_of_training_in_the_glue_are_named(tmp_path: Path):
    folder = shutil.copytree(GOLDEN_LITE / "a" / "Ming-Lite-Uni", tmp_path / "Ming-Lite-Uni")
    glue = folder / "mlp" / "model.safetensors"
    save_file(load_file(glue) | {"head.fc1.weight": torch.zeros(2, 2)}, glue)
    assert "1 that nothing reads: head.fc1.weight" in particulars_of(folder)["mlp"]


def test_parts_that_come_by_stages_are_called_so():
    gb = 10**9
    machine = Machine(64 * GIB, 64 * GIB, "card", 12 * gb, 12 * gb, has_fast_bf16=True)
    need = Need("bf16", 23 * gb, 23 * gb, 14 * gb, gb, How.STAGED)
    verdict = Verdict.of(need, room_of(machine))
    assert verdict.how == "gpu, parts stage after stage"
    assert (verdict.whole_bytes, verdict.least_bytes) == (24 * gb, 10 * gb)
