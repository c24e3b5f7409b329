"""`ming bench --reference`: the seam to the published code, which is neither shipped nor needed.

With a checkout named in MING_PUBLISHED_CODE, and what that imports installed, it is run as well.
"""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ming_bench import reference
from ming_bench.case import Case
from ming_bench.clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN
from ming_bench.random_model import SIZES, random_model
from ming_bench.reference import (
    Reference,
    cached_forward,
    give_memory,
    head_figures,
    language_figures,
    mingtok_figures,
)
from ming_cli.__main__ import main
from ming_core import MingModel
from ming_core.config_section import Section
from ming_core.univision.config import FlowConfig, LanguageModelConfig, MingTokConfig

CPU = torch.device("cpu")
CHECKOUT = os.environ.get("MING_PUBLISHED_CODE")


@pytest.fixture(scope="module")
def model() -> MingModel:
    return random_model(SIZES["quick"], torch.float32, CPU)


@pytest.mark.parametrize("size", SIZES)
def test_figures_say_what_the_config_says(size: str):
    config = SIZES[size]
    language = Section(language_figures(config, 1), "llm_config")
    assert LanguageModelConfig.read(language) == config.language
    assert FlowConfig.read(Section(head_figures(config), "head")) == config.flow
    assert MingTokConfig.read(Section(mingtok_figures(config), "MingTok")) == config.mingtok


class FakeLanguage(nn.Module):
    """Calls what the published loop calls, in its order; its sample is the noise it drew."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_image_tokens_for_gen=0)
        self.model, self.vis_head = nn.Identity(), nn.Identity()
        self.told: dict[str, object] = {}

    def generate_image(self, **told: object) -> None:
        print("the published code prints")
        self.told = told
        embeddings, past = told["input_embeds"], None
        for index in range(self.config.num_image_tokens_for_gen + 1):
            self.vis_head(self.model(embeddings))
            latent = torch.randn(1, 32, device="cpu")[:, None].expand(3, -1, -1)
            if index < self.config.num_image_tokens_for_gen:
                features = told["latent_to_sem_func"](latent, past_key_values=past)
                past = features["past_key_values"]
                embeddings = told["linear_proj"](features["x_norm_patchtokens"])


class FakeVision:
    def forward_feature_decoder(self, latent: Tensor, past_key_values: int | None = None) -> dict:
        return {"x_norm_patchtokens": latent, "past_key_values": (past_key_values or 0) + 1}


def test_drawing_hands_over_and_measures_what_the_engine_does(
    model: MingModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(reference, "prefix_cache", lambda case: case.cache)
    case = Case.read(model, 3, 8)
    language = FakeLanguage(64)
    published = Reference(language, FakeVision(), nn.Identity(), "sdpa")
    before = torch.randn
    names: list[str] = []
    latents = published.draw(case, 2, names.append)
    assert torch.equal(latents, case.noise(2)[:, 0]), "the engine's noise, token by token"
    token = [HEAD, SEMANTIC, REST, LANGUAGE, TOKEN]
    assert names == [LANGUAGE, REST, *token, *token, HEAD], "and the sample that is thrown away"
    assert torch.randn is before
    assert capsys.readouterr().out == ""
    assert language.told["attention_mask"].tolist() == [[1] * 9]
    assert language.told["uncond_attention_mask"].tolist() == [[1] * 4 + [0] * 4 + [1]]
    assert language.told["text_uncond_attention_mask"].tolist() == [[1] * 6 + [0] * 2 + [1]]
    assert not language.model._forward_hooks


def test_the_semantic_decoder_keeps_its_past_without_flash_attention():
    class CausalAttention(nn.Module):
        def forward(self, x: int, past_key_value: str | None = None, cache_position=None) -> tuple:
            return x, past_key_value

    class MemEffCausalAttention(CausalAttention):
        def forward(self, x, attn_bias=None, past_key_value=None, cache_position=None) -> tuple:
            return CausalAttention.forward(self, x)

    layer = MemEffCausalAttention()
    assert layer(1, past_key_value="past") == (1, None), "as published"
    layer.forward = cached_forward(layer)
    assert layer(1, past_key_value="past") == (1, "past")


def test_what_no_checkpoint_holds_is_made():
    class Rotary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dim, self.base, self.max_seq_len_cached = 4, 100.0, 7
            self.register_buffer("inv_freq", torch.empty(2, device="meta"), persistent=False)
            self.unused = nn.Linear(2, 2, device="meta")

    layer = Rotary()
    give_memory(layer, CPU)
    assert layer.inv_freq.tolist() == pytest.approx([1.0, 0.1])
    assert layer.max_seq_len_cached is None
    assert layer.unused.weight.tolist() == [[0, 0], [0, 0]]


def test_a_folder_without_the_code_is_refused_with_what_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["bench", "--device", "cpu", "--size", "quick", "--reference", str(tmp_path)]
    assert main(words) == 1
    assert "transformers 4.52" in capsys.readouterr().err
    inner = tmp_path / "mingunivision"
    inner.mkdir()
    (inner / "modeling_bailing_moe.py").write_text("import no_such_package_of_theirs\n")
    (inner / "configuration_bailing_moe.py").write_text("")
    assert main(words) == 1
    assert "no_such_package_of_theirs" in capsys.readouterr().err


@pytest.mark.skipif(CHECKOUT is None, reason="MING_PUBLISHED_CODE names no checkout")
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_published_code_draws_the_same_latents(model: MingModel, rows: int):
    published = Reference.build(Path(CHECKOUT or ""), model)
    case = Case.read(model, rows, 12)
    with torch.inference_mode():
        ours = case.draw(3, lambda name: None)[0]
    theirs = published.draw(case, 3, lambda name: None)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
