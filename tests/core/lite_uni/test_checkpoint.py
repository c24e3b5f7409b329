"""Checkpoint folders: found, every variant loaded, and whatever does not fit named."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import ming_core
from ming_core import CheckpointError, ConfigError, families, load_model
from ming_core.lite_uni.generation import generate
from ming_core.lite_uni.sampler import DiffusionSampling

GOLDEN = Path(__file__).parents[2] / "golden_lite"
QUICK = DiffusionSampling(steps=1)


@pytest.fixture
def folder(tiny, tmp_path: Path) -> Path:
    """A checkpoint whose files may be changed."""
    return tiny.make_tiny(tmp_path / "Ming-Lite-Uni")


def edit_json(path: Path, **changes) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | changes), encoding="utf-8")


def edit_tensors(path: Path, **changes) -> None:
    """Replace tensors, and leave out those given as None."""
    tensors = load_file(path) | {name.replace("__", "."): t for name, t in changes.items()}
    save_file({name: t.clone() for name, t in tensors.items() if t is not None}, path)


def picture(path: Path, **options) -> torch.Tensor:
    model = load_model(path, **options)
    return generate(model, "a fox", seeds=[1], size=(64, 64), mode="exact", sampling=QUICK)


@pytest.mark.parametrize("inside", ["", "Ming-Lite-Uni", "Ming-Lite-Uni/transformer"])
def test_it_is_found_from_itself_from_inside_and_from_around(inside):
    assert families.folders_of(GOLDEN / "a" / inside)["Ming-Lite-Uni"].parent == GOLDEN / "a"
    assert families.family_of(GOLDEN / "a" / inside).NAME == "Ming-Lite-Uni"


def test_it_is_listed_beside_the_other_family():
    found = ming_core.list_checkpoints(GOLDEN.parent)
    assert found == []  # three levels down
    assert ming_core.list_checkpoints(GOLDEN) == ["a/Ming-Lite-Uni", "b/Ming-Lite-Uni"]


def test_a_whole_one_looks_whole_and_a_cut_one_does_not(folder):
    assert ming_core.looks_whole(folder)
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert not ming_core.looks_whole(folder)


def variants(tiny):
    return {
        "sharded": {"shards": ("qwen2_5_llm", "transformer", "vae", "qwen2_5_vit")},
        "nested": {"nested": True},
        "plain tokenizer": {"added": False},
        "DPM file": {"scheduler": tiny.DPM_FILE},
        "no timestep_scale": {"dropped": ("timestep_scale",)},
        "fp32": {"dtype": torch.float32},
        "three stages deeper": {"vae": tiny.Vae(blocks=(1, 2, 1, 3, 1, 2))},
        "two scales": {"scales": (2, 6)},
        "bigger pictures": {"sana": tiny.Sana(sample_size=32)},
    }


@pytest.mark.parametrize(
    "variant",
    [
        "sharded",
        "nested",
        "plain tokenizer",
        "DPM file",
        "no timestep_scale",
        "fp32",
        "three stages deeper",
        "two scales",
        "bigger pictures",
    ],
)
def test_every_variant_draws(variant, tiny, tmp_path):
    path = tiny.make_tiny(tmp_path, tiny.Variant(**variants(tiny)[variant]))
    image = picture(path)
    assert image.shape == (1, 64, 64, 3)
    assert image.isfinite().all()


@pytest.mark.parametrize("change", ["sharded", "nested", "plain tokenizer"])
def test_the_layout_of_the_files_changes_nothing(change, tiny, tmp_path):
    plain = tiny.make_tiny(tmp_path / "one")
    other = tiny.make_tiny(tmp_path / "other", tiny.Variant(**variants(tiny)[change]))
    assert torch.equal(picture(plain), picture(other))
    assert load_model(plain).identity == load_model(other).identity


def test_a_tied_head_scores_by_the_embeddings(tiny, tmp_path):
    language = tiny.Qwen(width=256, layers=1, heads=2, tied=True)
    model = load_model(tiny.make_tiny(tmp_path, tiny.Variant(language=language)))
    embeddings = model.parts.language_model.embed_tokens.weight
    assert torch.equal(model.parts.lm_head.weight, embeddings)


@pytest.mark.parametrize("rest", [torch.zeros(4, 24), None], ids=["another", "none"])
def test_tensors_of_the_transformer_in_the_glue_win(folder, caplog, rest):
    before, path = picture(folder), folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weight = load_file(path)["proj_out.weight"]
    edit_tensors(folder / "mlp" / "model.safetensors", sana__proj_out__weight=weight)
    edit_tensors(path, proj_out__weight=rest)
    with caplog.at_level(logging.INFO, logger="ming"):
        assert torch.equal(picture(folder), before)
    assert "1 tensors of transformer/ are taken from mlp/" in caplog.text


def test_a_tower_saved_as_part_of_a_model_is_read(folder):
    path = folder / "qwen2_5_vit" / "model.safetensors"
    before = load_model(folder).identity
    tensors = {f"visual.{name}": tensor.clone() for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    assert load_model(folder).identity == before


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mlp/model.safetensors", "mlp.fc1.bias"),
        ("qwen2_5_llm/model.safetensors", "model.layers.1.mlp.up_proj.weight"),
        ("qwen2_5_llm/model.safetensors", "lm_head.weight"),
        ("qwen2_5_vit/model.safetensors", "merger.ln_q.weight"),
        ("connector/model.safetensors", "model.norm.weight"),
        ("transformer/diffusion_pytorch_model.safetensors", "caption_norm.weight"),
        ("transformer/diffusion_pytorch_model.safetensors", "scale_shift_table"),
        ("vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.bias"),
    ],
)
def test_a_missing_tensor_is_named(folder, file, name):
    edit_tensors(folder / file, **{name.replace(".", "__"): None})
    with pytest.raises(CheckpointError, match=name.rsplit(".", 1)[0].replace(".", r"\.")):
        load_model(folder)


def test_a_missing_matrix_of_the_head_is_named(folder):
    edit_tensors(folder / "mlp/model.safetensors", mlp__fc1__weight=None)
    with pytest.raises(ConfigError, match=r"mlp\.fc1\.weight"):
        load_model(folder)


def test_a_misshapen_tensor_is_named(folder):
    path = folder / "connector" / "model.safetensors"
    edit_tensors(path, model__norm__weight=torch.ones(31))
    with pytest.raises(CheckpointError, match=r"wrong shape: connector/model\.norm\.weight"):
        load_model(folder)


def test_an_unknown_tensor_is_named_but_in_the_glue_only_noted(folder, caplog):
    edit_tensors(folder / "mlp/model.safetensors", alignment__weight=torch.ones(2))
    load_model(folder)
    assert "mlp/alignment.weight" in caplog.text
    edit_tensors(folder / "connector/model.safetensors", alignment__weight=torch.ones(2))
    with pytest.raises(CheckpointError, match=r"unexpected: connector/alignment"):
        load_model(folder)


@pytest.mark.parametrize("name", ["qwen2_5_vit", "qwen2_5_llm", "mlp", "vae"])
def test_a_missing_folder_is_named(folder, name):
    shutil.rmtree(folder / name)
    with pytest.raises(CheckpointError, match=f"lacks the folder {name}"):
        load_model(folder)


@pytest.mark.parametrize("file", ["mlp/model.safetensors", "scheduler/scheduler_config.json"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=file.rsplit("/", 1)[1]):
        load_model(folder)


def test_a_later_relative_is_refused_by_the_name_of_its_transformer(folder):
    edit_json(folder / "transformer/config.json", _class_name="SD3Transformer2DModel")
    with pytest.raises(ConfigError, match="SD3Transformer2DModel.*Ming-Lite-Omni"):
        load_model(folder)


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("qwen2_5_vit/config.json", {"out_hidden_size": 25}, "out_hidden_size is 25"),
        ("transformer/config.json", {"caption_channels": 21}, "caption_channels is 21"),
        ("connector/config.json", {"hidden_size": 64}, "connector hidden_size is 64"),
        ("connector/config.json", {"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ("qwen2_5_llm/config.json", {"num_attention_heads": 4}, "64 wide"),
        ("vae/config.json", {"latent_channels": 8}, "latent_channels 8"),
    ],
)
def test_parts_that_do_not_fit_are_refused(folder, file, changes, words):
    edit_json(folder / file, **changes)
    with pytest.raises(CheckpointError, match=words):
        load_model(folder)


def test_a_vocabulary_too_small_for_the_template_is_refused(folder):
    edit_json(folder / "qwen2_5_llm/config.json", vocab_size=100)
    path = folder / "qwen2_5_llm/model.safetensors"
    short = {
        name: load_file(path)[name][:100]
        for name in ("model.embed_tokens.weight", "lm_head.weight")
    }
    edit_tensors(path, **{name.replace(".", "__"): tensor for name, tensor in short.items()})
    with pytest.raises(CheckpointError, match="vocab_size is 100"):
        load_model(folder)


@pytest.mark.parametrize(("eos", "stops"), [(None, set()), (7, {7}), ([7, 9], {7, 9})])
def test_end_tokens_of_the_generation_config_are_read(tiny, tmp_path, eos, stops):
    path = tiny.make_tiny(tmp_path, tiny.Variant(eos=eos))
    assert load_model(path).config.stops == stops


def test_a_strange_end_token_is_refused(tiny, tmp_path):
    path = tiny.make_tiny(tmp_path, tiny.Variant(eos="<|im_end|>"))
    with pytest.raises(ConfigError, match="eos_token_id"):
        load_model(path)


def test_two_checkpoints_in_one_folder_are_refused(tiny, tmp_path):
    for name in ("one", "other"):
        tiny.make_tiny(tmp_path / name)
    with pytest.raises(CheckpointError):
        load_model(tmp_path)


def test_a_converted_folder_keeps_a_tokenizer_of_two_files(folder, tmp_path):
    language = folder / "qwen2_5_llm"
    layout = json.loads((language / "tokenizer.json").read_text(encoding="utf-8"))
    (language / "tokenizer.json").unlink()
    merges = "\n".join(" ".join(pair) for pair in layout["model"]["merges"])
    (language / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    (language / "vocab.json").write_text(json.dumps(layout["model"]["vocab"]), encoding="utf-8")
    numbered = {token.pop("id"): token for token in layout["added_tokens"]}
    config = {"added_tokens_decoder": numbered}
    (language / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    families.convert(folder, tmp_path / "converted")
    assert torch.equal(picture(tmp_path / "converted"), picture(folder))


@pytest.mark.parametrize("quantise", [None, "int8", "int4"])
def test_a_converted_folder_draws_the_same(folder, tmp_path, quantise):
    target = families.convert(folder, tmp_path / "converted", quantise=quantise)
    assert ming_core.stored_quantisation(target) == quantise
    assert ming_core.looks_whole(target)
    assert load_model(target).identity == load_model(folder).identity
    assert torch.equal(picture(target), picture(folder, quantise=quantise))


@pytest.mark.parametrize("quantise", ["int8", "int4"])
def test_what_is_quantised_draws_nearly_the_same(folder, quantise):
    exact, rounded = picture(folder), picture(folder, quantise=quantise)
    assert 0 < (exact - rounded).abs().mean() < 0.1


def test_identity_depends_on_weights_and_on_figures_that_no_shape_shows(folder):
    before = load_model(folder).identity
    edit_json(folder / "connector/config.json", rope_theta=10000.0)
    changed = load_model(folder).identity
    assert changed != before
    edit_tensors(folder / "mlp/model.safetensors", mlp__fc1__bias=torch.ones(16))
    assert load_model(folder).identity not in (before, changed)
