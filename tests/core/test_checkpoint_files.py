"""Folders and files that are not whole, each refused in words that name it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ming_core import CheckpointError, list_checkpoints, load_model
from ming_core.tensor_files import TensorFiles
from ming_core.univision.folders import find_checkpoint

MAPS = Path("/proc/self/maps")


@pytest.fixture(autouse=True)
def nothing_large(monkeypatch: pytest.MonkeyPatch):
    """Nothing here may get as far as allocating the model."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("allocated before the checkpoint was found whole")

    monkeypatch.setattr("ming_core.checkpoint._bring_weights", refuse)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        load_model(path)
    return str(refused.value)


def test_a_missing_shard_is_named(checkpoint):
    lost = checkpoint.shards[1]
    lost.unlink()
    assert lost.name in refusal(checkpoint.folder)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.01, 0.5, -1])
def test_a_truncated_shard_is_named(checkpoint, kept: float):
    shard = checkpoint.shards[0]
    content = shard.read_bytes()
    length = int(len(content) * kept) if 0 < kept < 1 else kept
    shard.write_bytes(content[:length])
    message = refusal(checkpoint.folder)
    assert shard.name in message
    assert str(shard.stat().st_size) in message


def test_a_shard_with_a_monstrous_header_is_named(checkpoint):
    checkpoint.shards[0].write_bytes((2**62).to_bytes(8, "little") + b"{}")
    assert checkpoint.shards[0].name in refusal(checkpoint.folder)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_pickles_are_named_and_never_read(checkpoint, suffix: str):
    for path in (*checkpoint.shards, checkpoint.index):
        path.unlink()
    (checkpoint.big / f"pytorch_model{suffix}").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    message = refusal(checkpoint.folder)
    assert f"pytorch_model{suffix}" in message
    assert "safetensors" in message


def test_a_pickle_called_safetensors_is_refused(checkpoint):
    torch.save({"a": torch.zeros(2)}, checkpoint.shards[0])
    assert checkpoint.shards[0].name in refusal(checkpoint.folder)


def test_a_folder_without_weights_says_so_in_few_words(checkpoint):
    for path in (*checkpoint.shards, checkpoint.index):
        path.unlink()
    message = refusal(checkpoint.folder)
    assert "no weights" in message
    assert len(message) < 400


def test_tensors_the_index_names_in_vain_are_all_named(checkpoint):
    index = json.loads(checkpoint.index.read_text())
    index["weight_map"]["model.lost.weight"] = checkpoint.shards[0].name
    index["weight_map"]["model.also.lost"] = checkpoint.shards[1].name
    true = index["weight_map"]["model.vis_head.0.bias"]
    other = next(shard.name for shard in checkpoint.shards if shard.name != true)
    index["weight_map"]["model.vis_head.0.bias"] = other
    checkpoint.index.write_text(json.dumps(index))
    message = refusal(checkpoint.folder)
    for name in ("model.lost.weight", "model.also.lost", "model.vis_head.0.bias"):
        assert name in message


@pytest.mark.parametrize(
    "outside", ["../MingTok-Vision/model.safetensors", "/etc/passwd", "sub/x.safetensors", "..", 7]
)
def test_an_index_pointing_out_of_its_folder_is_refused(checkpoint, outside: object):
    index = json.loads(checkpoint.index.read_text())
    index["weight_map"]["model.vis_head.0.bias"] = outside
    checkpoint.index.write_text(json.dumps(index))
    assert str(outside) in refusal(checkpoint.folder)


@pytest.mark.parametrize("content", ["{oops", "[]", '{"metadata": {}}', '{"weight_map": {}}'])
def test_a_broken_index_is_named(checkpoint, content: str):
    checkpoint.index.write_text(content)
    assert checkpoint.index.name in refusal(checkpoint.folder)


def test_a_tensor_in_two_shards_is_refused_naming_both(checkpoint):
    checkpoint.index.unlink()
    save_file({"model.vis_head.0.bias": torch.zeros(64)}, checkpoint.big / "zz.safetensors")
    message = refusal(checkpoint.folder)
    assert "model.vis_head.0.bias" in message
    assert "zz.safetensors" in message


@pytest.mark.parametrize("content", ["{oops", "", "[1, 2]", "\x00"])
@pytest.mark.parametrize("which", ["big", "small"])
@pytest.mark.parametrize("start", ["parent", "itself"])
def test_a_broken_config_is_named(checkpoint, content: str, which: str, start: str):
    folder = getattr(checkpoint, which)
    (folder / "config.json").write_text(content)
    message = refusal(checkpoint.folder if start == "parent" else folder)
    assert str(folder / "config.json") in message


def test_half_a_folder_says_which_half_is_missing(checkpoint):
    shutil.rmtree(checkpoint.small)
    assert "MingTok-Vision" in refusal(checkpoint.folder)
    assert "MingTok-Vision" in refusal(checkpoint.big)


def test_the_other_half_alone_is_refused(checkpoint):
    shutil.rmtree(checkpoint.big)
    for path in (checkpoint.folder, checkpoint.small):
        assert "Ming-UniVision" in refusal(path)


def test_no_folder_at_all_is_refused(checkpoint):
    assert "gone" in refusal(checkpoint.folder / "gone")
    assert "config.json" in refusal(checkpoint.big / "config.json")


def test_two_checkpoints_in_one_folder_are_both_named(checkpoint):
    shutil.copytree(checkpoint.big, checkpoint.folder / "Second")
    message = refusal(checkpoint.folder)
    assert "Ming-UniVision" in message
    assert "Second" in message
    assert find_checkpoint(checkpoint.folder / "Second").univision.name == "Second"


def test_either_folder_and_the_one_around_them_lead_to_both(checkpoint):
    for path in (checkpoint.folder, checkpoint.big, checkpoint.small):
        found = find_checkpoint(path)
        assert (found.univision, found.mingtok) == (checkpoint.big, checkpoint.small)


def test_the_tokenizer_folder_may_lie_within(checkpoint):
    checkpoint.small.rename(checkpoint.big / "MingTok-Vision")
    assert find_checkpoint(checkpoint.big).mingtok == checkpoint.big / "MingTok-Vision"


def test_checkpoints_are_listed_to_a_depth_of_two(tiny: Path, tmp_path: Path):
    for place in ("one", "group/two", "group/deep/three"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "config.json").write_text('{"llm_config": {}}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{oops")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"low_level_encoder": {}}')
    assert list_checkpoints(tmp_path) == ["group/two", "one"]
    assert list_checkpoints(tmp_path / "nowhere") == []
    assert list_checkpoints(tiny) == ["Ming-UniVision"]


def test_headers_say_what_is_stored_and_tensors_are_mapped_not_copied(tiny: Path):
    with TensorFiles(tiny / "Ming-UniVision") as files:
        stored = files.tensors["model.lm_head.weight"]
        assert (stored.shape, stored.dtype, stored.num_elements) == ((480, 64), "BF16", 480 * 64)
        tensor = files.read(stored)
        assert (tuple(tensor.shape), tensor.dtype) == ((480, 64), torch.bfloat16)


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what is mapped")
def test_what_was_read_and_let_go_leaves_memory(tiny: Path, monkeypatch):
    def mapped() -> int:
        return sum(str(path) in line for line in MAPS.read_text().splitlines())

    monkeypatch.setattr("ming_core.tensor_files.PASSING", 1)
    with TensorFiles(tiny / "Ming-UniVision") as files:
        path = next(iter(files.tensors.values())).path
        own = [stored for stored in files.tensors.values() if stored.path == path][:4]
        files.read(own[0])
        few = mapped()
        held = [files.read(stored) for stored in own]
        assert mapped() > few
        del held
        files.read(own[0])
        assert mapped() == few
        held = [files.read(stored, stays=True) for stored in own]
        assert len(held) > 1 and mapped() <= few + 1, "what stays shares one mapping"


def test_a_file_that_was_replaced_meanwhile_is_named(checkpoint, monkeypatch):
    monkeypatch.setattr("ming_core.tensor_files.PASSING", 1)
    shard = checkpoint.shards[0]
    with TensorFiles(shard.parent) as files:
        stored = next(s for s in files.tensors.values() if s.path == shard)
        assert files.read(stored).shape == stored.shape
        shard.unlink()
        save_file({stored.name: torch.zeros(3)}, shard)
        with pytest.raises(CheckpointError, match="replaced while it was read"):
            files.read(stored)
        shard.unlink()
        with pytest.raises(CheckpointError, match=shard.name):
            files.read(stored)
