"""The folder of random weights: shards like published ones, which convert and draw."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from ming_bench.random_model import scaled
from ming_cli.__main__ import main
from ming_core import GENERATE_PREFIX, generate, load_model
from ming_core.tensor_files import TensorFiles

TOOL = Path(__file__).resolve().parents[2] / "tools" / "random_checkpoint.py"
SMALL = scaled((64, 3, 8, 8, 32), (64, 2), (64, 2), top_k=2, image_size=64)
SHARD = 1 << 16  # weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small checkpoint as the command does; of two layers where three are published."""
    folder = tmp_path_factory.mktemp("random") / "random"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))  # which the tool adds to
        patch.setattr(sys, "argv", ["", str(folder), "--layers", "2"])
        tool = runpy.run_path(str(TOOL))["main"]
        for name, small in (("PUBLISHED", SMALL), ("SHARD_WEIGHTS", SHARD)):
            patch.setitem(tool.__globals__, name, small)
        assert tool() == 0
    return folder


def test_shards_are_whole_and_no_larger_than_asked(folder: Path):
    own = folder / "Ming-UniVision"
    named = json.loads((own / "model.safetensors.index.json").read_text())["weight_map"]
    shards = sorted(own.glob("*.safetensors"))
    assert {shard.name for shard in shards} == set(named.values()) and len(shards) > 3
    with TensorFiles(own) as files:
        for shard in shards:
            held = [t.num_elements for t in files.tensors.values() if t.path == shard]
            assert len(held) == 1 or sum(held) <= SHARD
    layers = {
        found[1] for name in named if (found := re.search(r"\.layers\.(\d+)\.mlp\.gate\.", name))
    }
    assert layers == {"0", "1"}


def test_it_is_converted_to_4_bits_and_draws(folder: Path, capsys: pytest.CaptureFixture):
    target = folder.with_name("int4")
    assert main(["convert", str(folder), str(target), "--precision", "int4"]) == 0
    assert "GB of main memory" in capsys.readouterr().out
    model = load_model(target, on_processor=True)
    assert (model.quantisation, model.config.language.num_layers) == ("int4", 2)
    drawn = generate(model, GENERATE_PREFIX + "a cat", seeds=[1])[0]
    assert drawn.latents.values.isfinite().all()
