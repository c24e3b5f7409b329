"""Converting a checkpoint: same model, resumable at any byte, never half a file taken for whole."""

import json
import shutil
from collections import Counter, namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import ming_core
from ming_core import conversion
from ming_core.families import convert
from ming_core.quantisation import QUANTISATIONS, QuantisedLeaf

GOLDEN = Path(__file__).parents[1] / "golden" / "c"
FILES = {
    "low_level_encoder.safetensors",
    "semantic_decoder.safetensors",
    "pixel_decoder.safetensors",
    "language_model.safetensors",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module", params=[None, *QUANTISATIONS], ids=str)
def quantise(request) -> str | None:
    return request.param


@pytest.fixture(scope="module")
def whole(quantise: str | None, tmp_path_factory) -> Path:
    return convert(GOLDEN, tmp_path_factory.mktemp("whole") / "ming", quantise=quantise)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_converted_checkpoint_is_the_same_model_bit_for_bit(whole, quantise, dtype):
    published = ming_core.load_model(GOLDEN, quantise=quantise, dtype=dtype)
    converted = ming_core.load_model(whole, dtype=dtype)
    assert converted.identity == published.identity
    for name, module in published.components.items():
        ours, theirs = converted.components[name].state_dict(), module.state_dict()
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            assert ours[key].dtype == tensor.dtype
            assert torch.equal(ours[key], tensor), f"{name}.{key}"


def test_it_can_be_quantised_while_loading(tmp_path):
    converted = ming_core.load_model(convert(GOLDEN, tmp_path / "ming"), quantise="int4")
    published = ming_core.load_model(GOLDEN, quantise="int4")
    replies = [ming_core.generate(m, "a cat", seeds=[1])[0] for m in (converted, published)]
    assert torch.equal(replies[0].latents.values, replies[1].latents.values)


def test_levels_without_their_scales_are_refused(tmp_path):
    path = convert(GOLDEN, tmp_path / "ming", quantise="int8") / "language_model.safetensors"
    tensors = load_file(path)
    del tensors["language_model.velocity.modulation.scale"]
    save_file(tensors, path)
    with pytest.raises(ming_core.CheckpointError, match=r"modulation\.weight is I8; supported"):
        ming_core.load_model(tmp_path / "ming")


def test_a_folder_in_a_precision_that_is_gone_is_to_be_converted_again(tmp_path):
    note = convert(GOLDEN, tmp_path / "ming", quantise="int8") / "ming_components.json"
    note.write_text(note.read_text().replace("int8", "fp8"))
    with pytest.raises(ming_core.CheckpointError, match=r"says precision 'fp8'.*int8 in place of"):
        ming_core.load_model(tmp_path / "ming")


def test_it_is_found_and_stands_alone(whole):
    assert ming_core.list_checkpoints(whole.parent) == ["ming"]
    assert set(contents(whole)) >= FILES
    assert not [name for name in contents(whole) if name.endswith(".part")]


def test_it_goes_on_from_any_length_and_ends_the_same(whole, quantise, tmp_path):
    expected = contents(whole)
    name = "language_model.safetensors"
    size = len(expected[name])
    for length in (0, 5, size // 3, size // 2 + 1, size - 1, size):
        folder = tmp_path / str(length)
        shutil.copytree(whole, folder)
        (folder / name).rename(folder / f"{name}.part")
        with (folder / f"{name}.part").open("r+b") as file:
            file.truncate(length)
        (folder / "ming_components.json").rename(folder / "ming_components.unfinished.json")
        convert(GOLDEN, folder, quantise=quantise)
        assert contents(folder) == expected


def test_a_leftover_of_another_precision_is_not_continued(whole, quantise, tmp_path):
    name = "language_model.safetensors"
    other = convert(GOLDEN, tmp_path / "other", quantise=None if quantise else "int8")
    shutil.copytree(whole, tmp_path / "ming")
    shutil.copyfile(other / name, tmp_path / "ming" / f"{name}.part")
    (tmp_path / "ming" / name).unlink()
    convert(GOLDEN, tmp_path / "ming", quantise=quantise)
    assert contents(tmp_path / "ming") == contents(whole)


class StopAt(ming_core.Progress):
    def __init__(self, step: int):
        self.step = step

    def advance(self, done: int, total: int) -> None:
        if done == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [1, 40, 90])
def test_a_stop_leaves_nothing_that_looks_whole(step, quantise, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        convert(GOLDEN, tmp_path / "ming", quantise=quantise, progress=StopAt(step))
    assert not (tmp_path / "ming" / "ming_components.json").exists()
    convert(GOLDEN, tmp_path / "ming", quantise=quantise)
    assert contents(tmp_path / "ming") == contents(whole)


def test_it_goes_on_from_half_a_note(whole, quantise, tmp_path):
    (tmp_path / "ming").mkdir()
    (tmp_path / "ming" / "ming_components.unfinished.json.part").write_text('{"version"')
    convert(GOLDEN, tmp_path / "ming", quantise=quantise)
    assert contents(tmp_path / "ming") == contents(whole)


def test_a_flipped_bit_on_disk_is_noticed_and_the_file_goes(whole, quantise, tmp_path):
    shutil.copytree(whole, tmp_path / "ming")
    path = tmp_path / "ming" / "pixel_decoder.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(ming_core.CheckpointError, match=r"differs from its source.*deleted"):
        convert(GOLDEN, tmp_path / "ming", quantise=quantise)
    assert not path.exists()


def test_a_full_disk_is_refused_before_writing(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda _: usage(10, 9, 1000))
    with pytest.raises(ming_core.CheckpointError, match="GB free"):
        convert(GOLDEN, tmp_path / "ming")
    assert not list((tmp_path / "ming").glob("*.safetensors*"))


def test_a_converted_folder_is_not_converted_again(whole, tmp_path):
    with pytest.raises(ming_core.CheckpointError, match="converted already"):
        convert(whole, tmp_path / "again")


def test_a_converted_folder_with_a_file_missing_names_its_tensors(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "ming")
    (tmp_path / "ming" / "semantic_decoder.safetensors").unlink()
    with pytest.raises(ming_core.CheckpointError, match=r"missing: semantic_decoder\.in_proj"):
        ming_core.load_model(tmp_path / "ming")


@pytest.fixture
def checkpoint_copy(tmp_path) -> Path:
    for name in ("Ming-UniVision", "MingTok-Vision"):
        shutil.copytree(GOLDEN / name, tmp_path / "c" / name)
    return tmp_path / "c"


@pytest.mark.parametrize("target", ["", "Ming-UniVision", "Ming-UniVision/sub", "MingTok-Vision"])
def test_a_target_that_meets_the_source_is_refused_and_nothing_is_written(checkpoint_copy, target):
    before = sorted(checkpoint_copy.rglob("*"))
    with pytest.raises(ming_core.CheckpointError, match="name a new folder"):
        convert(checkpoint_copy, checkpoint_copy / target)
    assert sorted(checkpoint_copy.rglob("*")) == before


def test_another_conversion_is_neither_continued_nor_harmed(whole, quantise, tmp_path):
    shutil.copytree(whole, tmp_path / "ming")
    with pytest.raises(ming_core.CheckpointError, match=r"holds the conversion.*name an empty"):
        convert(GOLDEN, tmp_path / "ming", quantise=None if quantise else "int8")
    with pytest.raises(ming_core.CheckpointError, match="holds the conversion"):
        convert(GOLDEN.parent / "a", tmp_path / "ming", quantise=quantise)
    assert contents(tmp_path / "ming") == contents(whole)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(ming_core.CheckpointError, match="files of another kind"):
        convert(GOLDEN, tmp_path)
    assert contents(tmp_path) == {"config.json": b"mine"}


def test_converting_a_finished_folder_again_changes_nothing(whole, quantise, tmp_path):
    shutil.copytree(whole, tmp_path / "ming")
    convert(GOLDEN, tmp_path / "ming", quantise=quantise)
    assert contents(tmp_path / "ming") == contents(whole)


def test_every_weight_is_quantised_once_a_pass(monkeypatch, tmp_path):
    stored = []
    original = QuantisedLeaf.store

    def counting(layer, weight, index):
        stored.append((id(layer), str(index)))
        original(layer, weight, index)

    monkeypatch.setattr(QuantisedLeaf, "store", counting)
    convert(GOLDEN, tmp_path / "ming", quantise="int8")
    assert set(Counter(stored).values()) == {2}, "once to write, once to compare"


def test_a_folder_of_an_unknown_precision_is_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "ming")
    path = tmp_path / "ming" / "ming_components.json"
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"precision": "int3"}))
    with pytest.raises(ming_core.CheckpointError, match="'int3'.*or update the pack"):
        ming_core.load_model(tmp_path / "ming")
