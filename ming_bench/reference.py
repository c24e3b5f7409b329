"""The published code itself, from a checkout: built around our weights, timed like the engine.

It is imported only when asked for, and nothing of it is shipped. Its classes are built without
memory and given views of the engine's tensors, so that both compute with the same numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ming_core import CheckpointError, MingModel
from ming_core.univision.config import MingConfig, VisionStageConfig
from ming_core.univision.guidance import Branch
from ming_core.univision.key_map import IGNORED, expected_tensors

from .case import Case
from .clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN, Mark

NEEDS = (
    "It needs a checkout of github.com/inclusionAI/Ming-UniVision and, in this Python, what that "
    "imports: transformers 4.52, torchvision, omegaconf, einops and tqdm; flash-attn is used if it "
    "is there. ComfyUI's own Python is not the place for it: make an environment."
)
# The order in which the published code stacks its guidance rows.
ROWS = (Branch.FULL, Branch.UNCONDITIONAL, Branch.IMAGE_ONLY)


@dataclass(frozen=True)
class Reference:
    """The published language model with its flow head, MingTok, and the connector."""

    language: Any
    vision: Any
    connector: nn.Module
    attention: str

    @classmethod
    def build(cls, checkout: Path, model: MingModel) -> Reference:
        """Build from a checkout around the weights of `model`; raises CheckpointError."""
        modules = import_published(checkout)
        attention = attention_for(model.device)
        config = model.config
        with torch.device("meta"), silence():
            language = modules["modeling_bailing_moe"].BailingMoeForCausalLM(
                modules["configuration_bailing_moe"].BailingMoeConfig(
                    **language_figures(config, model.tokenizer.image),
                    _attn_implementation=attention,
                )
            )
            language.setup_vishead_diffloss(**head_figures(config))
            mingtok = modules["mingtok.modeling_mingtok"]
            vision = mingtok.MingTok(mingtok.MingTokConfig(**mingtok_figures(config)))
            connector = connector_like(config)
        built = cls(language.eval(), vision.eval(), connector.eval(), attention)
        built._share_weights(model)
        if attention == "sdpa":
            keep_the_past(vision.semantic_decoder)
        return built

    @torch.inference_mode()
    def draw(self, case: Case, tokens: int, mark: Mark) -> Tensor:
        """Draw one picture after a case's prefix, with a case's noise: latents (tokens, C)."""
        model = case.model
        device = model.device
        self.language.config.num_image_tokens_for_gen = tokens
        noise = iter(case.side_by_side(1).noise(tokens + 1).to(device))
        seen = {
            branch: torch.cat((visible, visible.new_ones(1)))[None].long().to(device)
            for branch, visible in case.seen.items()
        }
        latents: list[Tensor] = []

        def expand(latent: Tensor, past_key_values: Any = None) -> Any:  # noqa: ANN401
            latents.append(latent[0, 0])
            mark(SEMANTIC)
            features = self.vision.forward_feature_decoder(latent, past_key_values=past_key_values)
            mark(REST)
            return features

        start = model.word_embeddings(torch.tensor([[model.tokenizer.image]]))
        bf16 = device.type == "cuda" and model.dtype == torch.bfloat16
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
        drawn = mock.patch.object(torch, "randn", lambda *_size, **_how: next(noise))
        with silence(), self._watched(mark), autocast, drawn:
            self.language.generate_image(
                input_embeds=start,
                past_key_values=prefix_cache(case),
                attention_mask=seen[Branch.FULL],
                uncond_attention_mask=seen.get(Branch.UNCONDITIONAL),
                text_uncond_attention_mask=seen.get(Branch.IMAGE_ONLY),
                latent_to_sem_func=expand,
                linear_proj=self.connector,
                sem_to_pix_func=lambda features: features,
            )
        return torch.stack(latents)

    @contextlib.contextmanager
    def _watched(self, mark: Mark) -> Iterator[None]:
        """Mark the parts of a token; a token ends when it was read, as it does in the engine."""
        reads = 0

        def read(*_: object) -> None:
            nonlocal reads
            reads += 1
            mark(REST if reads == 1 else TOKEN)

        hooks = [
            self.language.model.register_forward_pre_hook(lambda *_: mark(LANGUAGE)),
            self.language.model.register_forward_hook(read),
            self.language.vis_head.register_forward_pre_hook(lambda *_: mark(HEAD)),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _share_weights(self, model: MingModel) -> None:
        """Give every parameter a view of the engine's own; raises CheckpointError where none is."""
        tensors: dict[str, Tensor] = {}
        for name, place in expected_tensors(model.config, model.parts.named()).items():
            parameter = model.components[place.component].get_parameter(place.parameter)
            tensors[name] = parameter.data[place.index]
        for prefix, module in (
            ("model.", self.language),
            ("vision.", self.vision),
            ("linear_proj.", self.connector),
        ):
            own = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            lost = module.load_state_dict(own, strict=False, assign=True)
            unknown = [name for name in lost.missing_keys if not IGNORED.fullmatch(prefix + name)]
            if unknown or lost.unexpected_keys:
                raise CheckpointError(
                    f"The published code has other tensors than this model: {unknown[:5]} are not "
                    f"in ours, {lost.unexpected_keys[:5]} not in its. Use another checkout."
                )
            give_memory(module, model.device)


def import_published(checkout: Path) -> dict[str, ModuleType]:
    """Import what is needed of a checkout; raises CheckpointError saying what is missing."""
    inner = checkout / "mingunivision"
    if not (inner / "modeling_bailing_moe.py").is_file():
        raise CheckpointError(f"{checkout} has no mingunivision/modeling_bailing_moe.py. {NEEDS}")
    names = ("configuration_bailing_moe", "modeling_bailing_moe", "mingtok.modeling_mingtok")
    with mock.patch.object(sys, "path", [str(checkout), str(inner), *sys.path]), silence():
        try:
            modules = {name: importlib.import_module(name) for name in names}
        except ImportError as error:
            for name in names:  # half a checkout must not be found by the next try
                sys.modules.pop(name, None)
            raise CheckpointError(f"{checkout} cannot be imported ({error}). {NEEDS}") from error
    modules["modeling_bailing_moe"].__dict__["tqdm"] = iter  # no progress bars
    return modules


def attention_for(device: torch.device) -> str:
    """Return the published attention that runs here: flash-attn's if that is there, or torch's."""
    has_flash = importlib.util.find_spec("flash_attn") is not None
    return "flash_attention_2" if has_flash and device.type == "cuda" else "sdpa"


def keep_the_past(decoder: nn.Module) -> None:
    """Let the semantic decoder attend to earlier tokens where there is no flash-attn.

    Its fallback without flash-attn and xformers forgets to hand its cache on, and then draws other
    pictures than it was trained to. Its own base class, which it falls back to, takes a cache.
    """
    for layer in decoder.modules():
        if type(layer).__name__ == "MemEffCausalAttention":
            layer.forward = cached_forward(layer)


def cached_forward(layer: nn.Module) -> Callable[..., Any]:
    """Return the plain causal attention of a layer, its cache included."""
    plain = type(layer).__mro__[1].forward

    def forward(
        x: Tensor,
        attn_bias: None = None,  # noqa: ARG001  the published signature
        past_key_value: Any = None,  # noqa: ANN401
        cache_position: Tensor | None = None,
    ) -> Any:  # noqa: ANN401
        return plain(layer, x, past_key_value, cache_position)

    return forward


def language_figures(config: MingConfig, image_token: int) -> dict[str, Any]:
    """Return `llm_config` as the published code reads it."""
    language = config.language
    return {
        "vocab_size": language.vocab_size,
        "hidden_size": language.hidden_size,
        "intermediate_size": language.expert_size,
        "num_hidden_layers": language.num_layers,
        "num_attention_heads": language.num_heads,
        "num_key_value_heads": language.num_kv_heads,
        "head_dim": language.head_size,
        "use_bias": False,
        "rms_norm_eps": language.rms_norm_eps,
        "rope_theta": language.rope_theta,
        "num_experts": language.num_experts,
        "num_shared_experts": language.num_shared_experts,
        "num_experts_per_tok": language.top_k,
        "norm_topk_prob": language.norm_topk_prob,
        "moe_intermediate_size": language.expert_size,
        "multi_gate": language.multi_gate,
        "num_image_tokens_for_gen": language.num_image_tokens,
        "image_start_token": image_token,
        "pad_token_id": None,
    }


def head_figures(config: MingConfig) -> dict[str, Any]:
    """Return `vishead_diffloss_config`, with what the published code adds to it."""
    return {
        "diffloss_w": config.flow.width,
        "diffloss_d": config.flow.depth,
        "num_sampling_steps": str(config.flow.steps),
        "gen_method": f"flow_matching_swiglu-{config.flow.mlp_ratio}",
        "hidden_size": config.language.hidden_size,
        "image_emb_dim_for_gen": config.mingtok.latent_size,
    }


def mingtok_figures(config: MingConfig) -> dict[str, Any]:
    """Return MingTok's config.json."""
    tok = config.mingtok

    def stage(figures: VisionStageConfig, depth_key: str) -> dict[str, Any]:
        layer = "swiglufused" if figures.is_swiglu else "mlp"
        return {
            "embed_dim": figures.width,
            depth_key: figures.depth,
            "patch_size": figures.patch_size,
            "ffn_layer": layer,
        }

    encoder = stage(tok.encoder, "depth")
    return {
        "low_level_encoder": encoder | {"img_size": tok.image_size, "out_dim": tok.latent_size},
        "semantic_decoder": stage(tok.semantic, "decoder_depth") | {"in_dim": tok.latent_size},
        "pixel_decoder": stage(tok.pixel, "decoder_depth"),
        "mean": tok.mean,
        "scaling_factor": tok.scale,
    }


def connector_like(config: MingConfig) -> nn.Module:
    """Return the connector as the published code has it."""
    hidden = config.language.hidden_size
    layers: list[nn.Module] = [nn.Linear(config.mingtok.semantic.width, hidden)]
    for _ in range(1, config.connector_depth):
        layers += [nn.GELU(), nn.Linear(hidden, hidden)]
    return nn.Sequential(*layers)


def give_memory(module: nn.Module, device: torch.device) -> None:
    """Fill what was built without memory and is in no checkpoint: rotary tables, unused routers."""
    layers: list[Any] = list(module.modules())
    for layer in layers:
        if isinstance(getattr(layer, "inv_freq", None), Tensor):
            exponents = torch.arange(0, layer.dim, 2, device=device).float() / layer.dim
            layer.inv_freq = layer.base**-exponents
            layer.max_seq_len_cached = None  # the tables are made when they are needed
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter.is_meta:
                zeros = torch.zeros_like(parameter, device=device)
                setattr(layer, name, nn.Parameter(zeros, requires_grad=False))


def prefix_cache(case: Case) -> Any:  # noqa: ANN401  transformers' class
    """Return the prefix as the published code's cache."""
    cache = importlib.import_module("transformers.cache_utils").DynamicCache()
    length = case.cache.length
    for layer in range(len(case.cache.keys)):
        keys = case.cache.keys[layer, :, :, :length].clone()
        cache.update(keys, case.cache.values[layer, :, :, :length].clone(), layer)
    return cache


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what the published code prints off the screen."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
