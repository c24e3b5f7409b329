"""How much memory the published sizes take: whole and by stages, in every precision."""

from pathlib import Path

import pytest
import torch

from ming_core import TorchOperations, families
from ming_core.config_section import Section
from ming_core.fitting import How, Room, choose
from ming_core.lite_uni.config import LiteUniConfig
from ming_core.lite_uni.diffusion_config import AutoencoderConfig, DiffusionConfig
from ming_core.lite_uni.glue import GlueConfig
from ming_core.lite_uni.memory import (
    drawing_stage,
    need_of,
    painting_stage,
    reading_stage,
    stage_needs,
)
from ming_core.lite_uni.model import LiteUniModel, Parts
from ming_core.lite_uni.qwen import QwenConfig
from ming_core.lite_uni.schedule import Schedule
from ming_core.lite_uni.sequence import LiteTokenizer
from ming_core.lite_uni.vision import VisionConfig
from ming_core.quantisation import QuantisedLeaf, operations_for

GOLDEN = Path(__file__).parents[2] / "golden_lite"
TOWER = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3456}
LANGUAGE = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
}
CONNECTOR = {
    "vocab_size": 151936,
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "intermediate_size": 8960,
}
SANA = {
    "in_channels": 32,
    "num_layers": 20,
    "num_attention_heads": 70,
    "attention_head_dim": 32,
    "num_cross_attention_heads": 20,
    "cross_attention_head_dim": 112,
    "cross_attention_dim": 2240,
    "caption_channels": 2304,
    "sample_size": 16,
}
VAE = {
    "latent_channels": 32,
    "upsample_block_type": "interpolate",
    "decoder_block_types": [*["ResBlock"] * 3, *["EfficientViTBlock"] * 3],
}


@pytest.fixture(scope="module")
def published() -> LiteUniConfig:
    """The sizes the specification expects of the published checkpoint."""
    config = LiteUniConfig(
        VisionConfig.read(Section(TOWER | {"out_hidden_size": 8192}, "vit")),
        QwenConfig.read(Section(LANGUAGE, "llm")),
        QwenConfig.read(Section(CONNECTOR, "connector")),
        GlueConfig(8192, 3584, 1536, 2048, 2304, scales=(4, 8, 16)),
        DiffusionConfig.read(Section(SANA, "transformer")),
        AutoencoderConfig.read(Section(VAE, "vae")),
        Schedule(),
        frozenset(),
    )
    config.check()
    return config


def model_of(config: LiteUniConfig, precision: str) -> LiteUniModel:
    quantise = precision if precision.startswith("int") else None
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    parts = Parts.build(config, operations_for(TorchOperations, quantise), dtype)
    return LiteUniModel("", config, None, parts, dtype)


def test_parameters_are_as_many_as_expected(published):
    parts = model_of(published, "fp32").components
    counts = {name: sum(p.numel() for p in m.parameters()) / 1e9 for name, m in parts.items()}
    assert round(counts["diffusion_transformer"] * 1e9) == 1_604_462_752
    assert counts["lm_head"] == pytest.approx(0.545, abs=1e-3)
    assert counts["language_model"] == pytest.approx(6.53 + 0.545, abs=0.01)
    assert counts["autoencoder"] == pytest.approx(0.16, abs=0.005)
    assert 2 * sum(counts.values()) == pytest.approx(22.9, abs=0.05)


@pytest.mark.parametrize(
    ("precision", "whole", "largest"),
    [("fp32", 45.8, 31.4), ("bf16", 22.9, 15.7), ("int8", 13.5, 9.2), ("int4", 10.9, 6.5)],
)
def test_whole_and_by_stages(published, precision, whole, largest):
    """In GB. int4 lies on a 12 GB card as a whole, and on one of 8 GB stage by stage."""
    model = model_of(published, precision)
    tensors = (t for m in model.components.values() for t in m.state_dict().values())
    assert sum(t.nbytes for t in tensors) / 1e9 == pytest.approx(whole, abs=0.1)
    needs = stage_needs(model)
    assert list(needs) == ["seeing", "reading", "connecting", "drawing", "painting", "writing"]
    most = max(need.weights + need.working for need in needs.values())
    assert most / 1e9 == pytest.approx(largest, abs=0.1)


@pytest.mark.parametrize(
    ("gigabytes", "precision", "how"),
    [
        (24, "bf16", How.WHOLE),
        (16, "int8", How.WHOLE),
        (12, "int4", How.WHOLE),
        (8, "int4", How.STAGED),
    ],
)
def test_what_auto_picks_for_a_card(published, gigabytes, precision, how):
    """With what a driver and a host keep for themselves."""
    golden = GOLDEN / "a/Ming-Lite-Uni"
    tokenizer = LiteTokenizer.load(golden / "qwen2_5_llm")

    def build(dtype, operations, quantise=None):
        return Parts.build(published, operations_for(operations, quantise), dtype)

    needs = [
        need_of(build, published, tokenizer, name, torch.bfloat16)
        for name in ("bf16", "int8", "int4")
    ]
    room = Room(int(gigabytes * 2**30 * 0.97), None, spare=600 << 20, floats="bf16")
    choice = choose(needs, room)
    assert (choice.need.precision, choice.runs) == (precision, how)


def test_which_matrices_are_in_few_bits(published):
    def forms(precision: str) -> dict[str, set[str]]:
        model, found = model_of(published, precision), dict[str, set[str]]()
        for component, module in model.components.items():
            for path, layer in module.named_modules():
                if isinstance(layer, QuantisedLeaf):
                    part = next((p for p in ("self_attn", "mlp") if f".{p}." in path), "")
                    found.setdefault(f"{component}.{part}", set()).add(layer.form.name)
        return found

    eight = {
        "language_model.self_attn": {"int8"},
        "language_model.mlp": {"int8"},
        "connector.self_attn": {"int8"},
        "connector.mlp": {"int8"},
        "diffusion_transformer.": {"int8"},
    }
    assert forms("int8") == eight
    assert forms("int4") == eight | {"language_model.mlp": {"int4"}}


def test_more_needs_more_room(published):
    model = model_of(published, "bf16")
    for stage in (drawing_stage, painting_stage):
        assert stage(model, (512, 512)).working < stage(model, (1024, 512)).working
    assert reading_stage(model, 100).working < reading_stage(model, 200).working
    assert reading_stage(model, 100).working < reading_stage(model, 100, 50).working


def test_a_checkpoint_says_what_it_needs_in_every_precision(tiny, tmp_path):
    path = tiny.make_tiny(tmp_path)
    with families.open_checkpoint(path) as checkpoint:
        needs = {p: checkpoint.need(p, torch.float32) for p in ("fp32", "bf16", "int8", "int4")}
    weights = [need.weights for need in needs.values()]
    assert weights[0] == 2 * weights[1]
    assert weights[2] < weights[0] and weights[3] < weights[2]
    for need in needs.values():
        assert 0 < need.least < need.whole
