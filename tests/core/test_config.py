"""Figures of config.json: what is refused, by which name."""

import copy
import json
from pathlib import Path

import pytest

from ming_core import ConfigError
from ming_core.univision.config import MingConfig

LLM, HEAD = "llm_config", "vishead_diffloss_config"


@pytest.fixture(scope="module")
def files(tiny: Path) -> tuple[dict, dict]:
    names = ("Ming-UniVision", "MingTok-Vision")
    read = [json.loads((tiny / n / "config.json").read_text(encoding="utf-8")) for n in names]
    return read[0], read[1]


@pytest.fixture
def changed(files: tuple[dict, dict]):
    """Read the configs with one figure changed, in whichever file has the section."""

    def read(section: str | None, key: str, value: object) -> MingConfig:
        big, small = copy.deepcopy(files)
        owner = big if section in (LLM, HEAD) or key == "mlp_depth" else small
        (owner if section is None else owner[section])[key] = value
        return MingConfig.read(big, small)

    return read


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (LLM, "use_bias", True),
        (LLM, "use_qkv_bias", True),
        (LLM, "norm_softmax", True),
        (LLM, "tie_word_embeddings", True),
        (LLM, "rope_scaling", {"type": "linear", "factor": 2.0}),
        (LLM, "first_k_dense_replace", 1),
        (LLM, "hidden_act", "gelu"),
        (HEAD, "vis_head_arch", "linear3"),
        (HEAD, "gen_method", "flow_matching-4"),
        (HEAD, "gen_method", "flow_matching_swiglu-"),
        (HEAD, "gen_method", "diffusion_swiglu-4"),
        (HEAD, "gen_method", 4),
        ("low_level_encoder", "ffn_layer", "moe"),
        ("pixel_decoder", "ffn_layer", None),
    ],
)
def test_what_is_not_implemented_is_refused_by_name_and_value(changed, section, key, value):
    with pytest.raises(ConfigError) as refused:
        changed(section, key, value)
    assert f"{section}.{key}" in str(refused.value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("value", [0, -1, 2.5, "many", None, True, [], float("inf"), float("nan")])
@pytest.mark.parametrize(
    ("section", "key"),
    [(LLM, "num_hidden_layers"), (LLM, "vocab_size"), (HEAD, "diffloss_w"), (None, "mlp_depth")],
)
def test_counts_must_be_whole_numbers_above_zero(changed, section, key: str, value: object):
    with pytest.raises(ConfigError, match=key):
        changed(section, key, value)


@pytest.mark.parametrize("value", ["0.5", None, True, float("inf"), float("nan")])
@pytest.mark.parametrize("key", ["mean", "scaling_factor"])
def test_shift_and_scale_must_be_numbers(changed, key: str, value: object):
    with pytest.raises(ConfigError, match=key):
        changed(None, key, value)


@pytest.mark.parametrize("key", ["norm_topk_prob", "multi_gate", "norm_head"])
def test_switches_must_be_true_or_false(changed, key: str):
    for value in (0, 1, "true", None):
        with pytest.raises(ConfigError, match=key):
            changed(LLM, key, value)


@pytest.mark.parametrize(
    ("section", "key", "value", "figures"),
    [
        (LLM, "num_key_value_heads", 3, ("4", "3")),
        (LLM, "num_experts_per_tok", 9, ("9", "8")),
        (LLM, "head_dim", 15, ("15",)),
        (LLM, "num_image_tokens_for_gen", 37, ("37",)),
        ("low_level_encoder", "embed_dim", 100, ("100", "64")),
        ("low_level_encoder", "out_dim", 16, ("16", "32")),
        ("semantic_decoder", "patch_size", 8, ("16", "8")),
        ("pixel_decoder", "patch_size", 5, ("16", "5")),
        ("low_level_encoder", "img_size", 100, ("100", "16")),
        (None, "scaling_factor", 0, ("scaling_factor", "0")),
    ],
)
def test_contradicting_figures_are_both_named(changed, section, key, value, figures):
    with pytest.raises(ConfigError) as refused:
        changed(section, key, value)
    assert all(figure in str(refused.value) for figure in figures)


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "num_experts", "num_shared_experts"])
def test_a_missing_figure_is_named(files, key: str):
    big, small = copy.deepcopy(files)
    del big[LLM][key]
    with pytest.raises(ConfigError, match=f"{LLM}.{key} is missing"):
        MingConfig.read(big, small)


@pytest.mark.parametrize("section", [LLM, HEAD])
def test_a_section_that_is_no_object_is_named(files, section: str):
    big, small = copy.deepcopy(files)
    big[section] = None
    with pytest.raises(ConfigError, match=section):
        MingConfig.read(big, small)


def test_missing_flow_figures_are_the_published_ones(files):
    big, small = copy.deepcopy(files)
    for head in ({}, None):
        big.pop(HEAD, None)
        if head is not None:
            big[HEAD] = head
        flow = MingConfig.read(big, small).flow
        assert (flow.width, flow.depth, flow.steps, flow.mlp_ratio) == (3072, 12, 16, 4)


def test_steps_may_be_digits_in_a_string(changed):
    assert changed(HEAD, "num_sampling_steps", "25").flow.steps == 25


@pytest.mark.parametrize(
    ("ffn", "is_swiglu"), [("mlp", False), ("swiglu", True), ("swiglufused", True)]
)
def test_kinds_of_mlp(changed, ffn: str, is_swiglu: bool):
    assert changed("pixel_decoder", "ffn_layer", ffn).mingtok.pixel.is_swiglu is is_swiglu


def test_the_published_sizes_follow_from_the_published_figures(files):
    big, small = copy.deepcopy(files)
    big[LLM]["num_image_tokens_for_gen"] = 256
    for stage in ("low_level_encoder", "semantic_decoder"):
        small[stage]["patch_size"] = 32
    config = MingConfig.read(big, small)
    assert (config.edit_size, config.understand_size) == (512, 1024)
    assert config.language.image_grid == (16, 16)
