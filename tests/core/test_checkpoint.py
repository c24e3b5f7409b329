"""Loading: strict, and models are told apart by their content."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ming_core import CheckpointError, MingModel, load_model
from ming_core.families import convert
from ming_core.univision.checkpoint import open_checkpoint
from ming_core.univision.key_map import expected_tensors

HEAD = "vishead_diffloss_config"


@pytest.fixture
def refusal(checkpoint, monkeypatch: pytest.MonkeyPatch):
    """Load the broken checkpoint; return the error, before which nothing was allocated."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("allocated before the checkpoint was found whole")

    def load() -> str:
        with monkeypatch.context() as patch, pytest.raises(CheckpointError) as refused:
            patch.setattr("ming_core.checkpoint._bring_weights", refuse)
            load_model(checkpoint.folder)
        return str(refused.value)

    return load


def test_every_tensor_that_does_not_fit_is_named_at_once(checkpoint, refusal):
    tensors = checkpoint.tensors()
    missing = ["vision.sem_to_pix.bias", "model.model.layers.1.mlp.experts.3.up_proj.weight"]
    for name in missing:
        del tensors[name]
    tensors["model.surprise"] = torch.zeros(3)
    tensors["linear_proj.1.weight"] = torch.zeros(2, 2)
    tensors["model.lm_head.weight"] = tensors["model.lm_head.weight"][:-1]
    tensors["model.vis_head.0.bias"] = torch.zeros(64, 1)
    checkpoint.write(tensors)
    message = refusal()
    for name in missing:
        assert f"missing: {name}" in message
    for name in ("model.surprise", "linear_proj.1.weight"):
        assert f"unexpected: {name}" in message
    assert "model.lm_head.weight is (479, 64), config.json implies (480, 64)" in message
    assert "model.vis_head.0.bias is (64, 1), config.json implies (64,)" in message
    assert len([line for line in message.splitlines() if line.startswith("  ")]) == 6


@pytest.mark.parametrize(
    ("section", "key", "stated", "found"),
    [
        (HEAD, "diffloss_w", 32, 64),
        (HEAD, "diffloss_d", 3, 2),
        (HEAD, "diffloss_d", 1, 2),
        ("llm_config", "num_hidden_layers", 3, 2),
        ("llm_config", "num_experts", 6, 8),
        ("low_level_encoder", "depth", 1, 2),
        ("semantic_decoder", "decoder_depth", 4, 2),
        ("pixel_decoder", "decoder_depth", 1, 2),
    ],
)
def test_a_count_that_does_not_fit_names_both_figures(
    checkpoint, refusal, section, key, stated, found
):
    checkpoint.configure(section, key, stated)
    message = refusal()
    assert f"config.json says {section}.{key} = {stated}, the tensors have {found}" in message


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("llm_config", "num_hidden_layers"),
        ("llm_config", "num_experts"),
        (HEAD, "diffloss_d"),
        (None, "mlp_depth"),
        ("low_level_encoder", "depth"),
        ("semantic_decoder", "decoder_depth"),
        ("pixel_decoder", "decoder_depth"),
    ],
)
@pytest.mark.parametrize("convert_first", [False, True])
def test_a_huge_count_is_refused_before_anything_is_built(
    checkpoint, tmp_path, section, key, convert_first
):
    if convert_first:
        convert(checkpoint.folder, tmp_path / "made")
        checkpoint = type(checkpoint)(tmp_path / "made")
        checkpoint.big, checkpoint.small = tmp_path / "made", tmp_path / "made" / "MingTok-Vision"
    checkpoint.configure(section, key, 10**9)
    is_stacked = convert_first and key == "num_experts"  # one tensor, of another shape
    words = "wrong shape" if is_stacked else "tensors or more"
    with pytest.raises(CheckpointError, match=words):
        load_model(checkpoint.folder)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("llm_config", "vocab_size"),
        ("llm_config", "hidden_size"),
        ("llm_config", "moe_intermediate_size"),
        ("llm_config", "num_shared_experts"),
        ("llm_config", "num_image_tokens_for_gen"),
        ("low_level_encoder", "embed_dim"),
        (HEAD, "diffloss_w"),
    ],
)
@pytest.mark.parametrize("value", [10**9, 2**31 - 64, 10**18])
def test_a_huge_width_is_refused(checkpoint, section, key, value):
    checkpoint.configure(section, key, value)
    with pytest.raises(CheckpointError):
        load_model(checkpoint.folder)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("llm_config", "vocab_size", 481), ("llm_config", "head_dim", 32), (None, "mlp_depth", 3)],
)
def test_a_width_that_does_not_fit_is_refused(checkpoint, refusal, section, key, value):
    checkpoint.configure(section, key, value)
    message = refusal()
    assert "wrong shape" in message or "missing: linear_proj.4.weight" in message


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.float64])
def test_quantised_and_other_dtypes_are_named(checkpoint, refusal, dtype: torch.dtype):
    tensors = checkpoint.tensors()
    tensors["model.lm_head.weight"] = tensors["model.lm_head.weight"].to(dtype)
    checkpoint.write(tensors)
    message = refusal()
    assert "unsupported dtype: model.lm_head.weight" in message
    assert "BF16" in message


def test_missing_flow_figures_mean_the_published_ones(checkpoint, refusal):
    checkpoint.configure(None, HEAD, {})
    message = refusal()
    assert "diffloss_w = 3072, the tensors have 64" in message
    assert "diffloss_d = 12, the tensors have 2" in message


def test_a_router_the_config_denies_is_unexpected(checkpoint, refusal):
    checkpoint.configure("llm_config", "multi_gate", False)
    assert "unexpected: model.model.layers.0.mlp.image_gate.weight" in refusal()


def test_the_router_nobody_asks_may_be_absent(checkpoint, model: MingModel):
    tensors = {n: t for n, t in checkpoint.tensors().items() if "audio_gate" not in n}
    checkpoint.write(tensors)
    assert load_model(checkpoint.folder).identity == model.identity


def test_a_tokenizer_of_another_model_is_refused(checkpoint, refusal):
    path = checkpoint.big / "tokenizer.json"
    layout = json.loads(path.read_text(encoding="utf-8"))
    last = layout["added_tokens"][-1]
    for extra in range(1, 480 - last["id"] + 1):
        layout["added_tokens"].append({**last, "id": last["id"] + extra, "content": f"<x{extra}>"})
    path.write_text(json.dumps(layout), encoding="utf-8")
    message = refusal()
    assert "480" in message
    assert "tokenizer.json" in message


def test_an_absent_tokenizer_is_refused(checkpoint, refusal):
    for path in checkpoint.big.glob("tokenizer*"):
        path.unlink()
    assert "tokenizer.json" in refusal()


def test_the_tokenizer_may_lie_beside_the_weights(checkpoint, model: MingModel):
    sibling = checkpoint.folder / "tokenizer-files"
    sibling.mkdir()
    (checkpoint.big / "tokenizer.json").rename(sibling / "tokenizer.json")
    assert load_model(checkpoint.folder).tokenizer.ids == model.tokenizer.ids


def weight(model: MingModel, component: str, name: str) -> torch.Tensor:
    return model.components[component].get_parameter(name)


def test_vision_tensors_of_the_big_checkpoint_win(checkpoint, tiny: Path, model: MingModel):
    big = checkpoint.tensors()["vision.semantic_decoder.in_proj.weight"].float()
    own = load_file(checkpoint.small / "model.safetensors")["semantic_decoder.in_proj.weight"]
    assert not torch.equal(big, own.float())
    assert torch.equal(weight(model, "semantic_decoder", "in_proj.weight"), big)


def test_the_tokenizers_own_vision_is_used_when_the_big_checkpoint_has_none(checkpoint, model):
    checkpoint.write({n: t for n, t in checkpoint.tensors().items() if not n.startswith("vision.")})
    own = load_file(checkpoint.small / "model.safetensors")
    loaded = load_model(checkpoint.folder)
    for name, tensor in own.items():
        component, _, rest = name.partition(".")
        if component == "semantic_decoder" and not rest.startswith("blocks"):
            assert torch.equal(weight(loaded, component, rest), tensor.float())
    assert loaded.identity != model.identity


@pytest.mark.parametrize("harm", ["truncate", "remove"])
def test_the_tokenizers_own_weights_matter_only_when_they_are_used(checkpoint, model, harm: str):
    own = checkpoint.small / "model.safetensors"
    own.write_bytes(own.read_bytes()[:1000]) if harm == "truncate" else own.unlink()
    assert load_model(checkpoint.folder).identity == model.identity
    checkpoint.write({n: t for n, t in checkpoint.tensors().items() if not n.startswith("vision.")})
    with pytest.raises(CheckpointError, match="MingTok-Vision"):
        load_model(checkpoint.folder)


def test_part_of_a_vision_model_is_not_filled_up_from_the_older_one(checkpoint, refusal):
    tensors = checkpoint.tensors()
    del tensors["vision.low_level_encoder.cls_token"]
    checkpoint.write(tensors)
    assert "missing: vision.low_level_encoder.cls_token" in refusal()


def test_every_tensor_lands_where_it_belongs(tiny: Path, model: MingModel):
    """Each stored tensor is found bit for bit in its place, and no place is left over."""
    places = expected_tensors(model.config, model.parts.named())
    filled = {name: 0 for name in places}
    with open_checkpoint(tiny) as opened:
        for name, place in places.items():
            parameter = weight(model, place.component, place.parameter)
            assert torch.equal(parameter[place.index], opened.read(name).float()), name
            filled[name] = parameter[place.index].numel()
    total = sum(p.numel() for m in model.components.values() for p in m.parameters())
    assert sum(filled.values()) == total


@pytest.mark.parametrize("num_shards", [1, 5])
def test_another_split_into_files_is_the_same_model(checkpoint, model: MingModel, num_shards):
    checkpoint.write(dict(reversed(checkpoint.tensors().items())), num_shards)
    assert load_model(checkpoint.folder).identity == model.identity


def test_the_same_figures_in_fp32_and_another_precision_are_the_same_model(checkpoint, model):
    checkpoint.write({n: t.float() for n, t in checkpoint.tensors().items()})
    assert load_model(checkpoint.folder, dtype=torch.bfloat16).identity == model.identity


@pytest.mark.parametrize(
    "name",
    [
        "model.vis_head.0.bias",
        "vision.pixel_decoder.norm.weight",
        "model.model.layers.1.mlp.image_gate.weight",
        "model.model.word_embeddings.weight",  # larger than what is read of a tensor
        "model.diffloss.net.res_blocks.1.adaLN_modulation.1.weight",
    ],
)
def test_one_changed_figure_is_another_model(checkpoint, model: MingModel, name: str):
    tensors = checkpoint.tensors()
    tensors[name].flatten()[17] += 1
    checkpoint.write(tensors)
    assert load_model(checkpoint.folder).identity != model.identity


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("llm_config", "rope_theta", 10000),
        ("llm_config", "num_experts_per_tok", 1),
        (None, "mean", 0.2),
    ],
)
def test_another_figure_in_the_config_is_another_model(checkpoint, model, section, key, value):
    checkpoint.configure(section, key, value)
    assert load_model(checkpoint.folder).identity != model.identity


def test_norm_head_gives_every_channel_unit_length_over_the_vocabulary(checkpoint, model):
    checkpoint.configure("llm_config", "norm_head", True)
    ours = weight(load_model(checkpoint.folder), "language_model", "transformer.lm_head.weight")
    assert torch.allclose(ours.norm(dim=0), torch.ones(64), atol=1e-4)
    plain = weight(model, "language_model", "transformer.lm_head.weight")
    assert torch.allclose(ours, plain / (plain.norm(dim=0) + 1e-7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_have_the_asked_precision_but_the_pixel_decoder_is_fp32(tiny: Path, dtype):
    loaded = load_model(tiny, dtype=dtype)
    for name, component in loaded.components.items():
        found = {parameter.dtype for parameter in component.parameters()}
        assert found == {torch.float32 if name == "pixel_decoder" else dtype}
        assert not any(p.requires_grad for p in component.parameters())
        assert not component.training
    assert loaded.dtype == dtype
