"""The language half against the newest library classes, on random checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from ming_core import load_model
from ming_core.lite_uni.preprocessing import Patches, fitted_size, to_patches
from ming_core.lite_uni.sequence import conversation

transformers = pytest.importorskip(
    "transformers", minversion="5", reason="install the extra oracle"
)
pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module", params=["plain", "other sizes"])
def folder(request, tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    variant = tiny.Variant(dtype=torch.float32)
    if request.param == "other sizes":
        variant = tiny.Variant(
            tower=tiny.Tower(depth=3, width=48, heads=3, window=56, full=(0, 2)),
            language=tiny.Qwen(width=384, layers=2, heads=3, kv_heads=3, theta=5e5, eps=1e-5),
            connector=tiny.Qwen(width=48, layers=2, heads=3, kv_heads=1, theta=1e4, vocab=8),
            nested=True,
            dtype=torch.float32,
        )
    return tiny.make_tiny(tmp_path_factory.mktemp("tiny"), variant)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


def config_of(folder: Path, name: str) -> dict:
    values = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
    return values.get("vision_config", values)


def weights_of(folder: Path, name: str, prefix: str = "") -> dict[str, Tensor]:
    tensors = load_file(folder / name / "model.safetensors")
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def picture(height: int, width: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(60, 100), (300, 90), (20, 44), (480, 640), (512, 512)])
@pytest.mark.parametrize("pixels", [6272, 451584])
def test_patches_are_those_of_the_library(size, pixels):
    image = picture(*size)
    processor = transformers.Qwen2VLImageProcessorPil(min_pixels=pixels, max_pixels=pixels)
    theirs = processor(images=[Image.fromarray(image)], return_tensors="pt")
    ours = to_patches(torch.from_numpy(image)[None].float() / 255, 14, 2, 2, pixels)
    assert theirs["image_grid_thw"].tolist() == [[1, ours.rows, ours.columns]]
    torch.testing.assert_close(ours.values, theirs["pixel_values"], atol=1e-6, rtol=0)


def test_sizes_are_those_of_the_library():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    for height in range(28, 1500, 41):
        for width in range(28, 1500, 67):
            theirs = smart_resize(height, width, 28, min_pixels=451584, max_pixels=451584)
            assert fitted_size(height, width, 28) == tuple(theirs)


@pytest.mark.parametrize("grid", [(12, 20), (6, 10), (2, 2), (8, 16)])
def test_features_are_those_of_the_library(folder, model, error, grid):
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as library

    config = library.Qwen2_5_VLVisionConfig(**config_of(folder, "qwen2_5_vit"))
    config._attn_implementation = "sdpa"
    theirs = library.Qwen2_5_VisionTransformerPretrainedModel(config).eval()
    theirs.load_state_dict(weights_of(folder, "qwen2_5_vit"))
    values = torch.randn(grid[0] * grid[1], 1176, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = theirs(values, torch.tensor([[1, *grid]])).pooler_output
        ours = model.parts.vision.tower(Patches(values, *grid))
    assert error(ours, expected) <= 1e-5


def test_hidden_states_are_those_of_the_library(folder, model, error):
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as library

    values = config_of(folder, "qwen2_5_llm")
    theta = values.pop("rope_theta")
    for key in ("architectures", "model_type"):
        values.pop(key)
    rope = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": theta}
    config = library.Qwen2_5_VLTextConfig(**values, rope_parameters=rope)
    config._attn_implementation = "sdpa"
    theirs = library.Qwen2_5_VLTextModel(config).eval()
    theirs.load_state_dict(weights_of(folder, "qwen2_5_llm", "model."))
    prompt = conversation(model.tokenizer, "a fox 狐狸", (3, 5), scales=(4, 8, 16))
    count = len(prompt.ids)
    seen = torch.randn(15, values["hidden_size"], generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        x = model.embed(prompt, seen)
        expected = theirs(
            inputs_embeds=x.clone(),
            position_ids=prompt.positions[:, None],
            attention_mask=torch.ones(1, 1, count, count, dtype=torch.bool).tril(),
        ).last_hidden_state
        ours = model.read(x, prompt.positions)
    assert error(ours, expected) <= 2e-5


def test_what_is_connected_is_that_of_the_library(folder, model, error):
    theirs = transformers.Qwen2ForCausalLM.from_pretrained(
        folder / "connector", attn_implementation="sdpa", dtype=torch.float32
    ).model.eval()
    x = torch.randn(1, 64, theirs.config.hidden_size, generator=torch.Generator().manual_seed(3))
    connector = model.parts.connector
    hidden: list[Tensor] = []
    hook = connector.decoder.register_forward_hook(lambda _m, _a, out: hidden.append(out))
    entry = connector.proj_in.register_forward_hook(lambda _m, _a, _out: x)
    with torch.inference_mode():
        everything = torch.ones(1, 1, 64, 64, dtype=torch.bool)
        expected = theirs(inputs_embeds=x, attention_mask=everything).last_hidden_state
        model.connect(torch.zeros(1, 64, model.config.glue.hidden_size))
    hook.remove()
    entry.remove()
    assert error(hidden[0], expected) <= 2e-5
