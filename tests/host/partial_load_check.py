"""Runs in the host's own Python, without a server: a partial load gives what a full one gives.

usage: python partial_load_check.py COMFYUI_FOLDER PACK_FOLDER CHECKPOINT_ROOT

There is no accelerator here, so the host's decision is simulated: its own patcher is told to
load onto the CPU within a budget. Layers beyond the budget then stream, by the host's own code.
Prints one JSON object of figures; `test_host_partial_load.py` judges them.
"""

import asyncio
import gc
import importlib
import importlib.util
import json
import logging
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

COMFYUI, PACK, ROOT = sys.argv[1:4]
sys.path.insert(0, COMFYUI)

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True  # before anything asks for a device

import comfy.model_management as mm  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

SEED = 3


def load_pack() -> ModuleType:
    """Import the pack as the host does and return its `nodes.host`."""
    spec = importlib.util.spec_from_file_location("pack", Path(PACK) / "__init__.py")
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    asyncio.run(pack.comfy_entrypoint())
    return importlib.import_module("pack.nodes.host")


def everything(host: ModuleType, model: Any) -> list[Tensor]:
    """Run every component once and return all tensors that come out."""
    core = importlib.import_module("pack.ming_core")
    photo = torch.rand(1, 80, 120, 3, generator=torch.Generator().manual_seed(SEED))
    sampling = core.ImageSampling(steps=2)
    engine = host.prepare(model, list(model.patchers), host.Work(images=2))
    latents = core.encode_image(engine, photo, "understand")
    features = core.expand(engine, latents)
    drawn = core.generate(engine, "a cat", seeds=[SEED, 9], sampling=sampling, features=features)
    edited = core.edit(engine, "red", seed=SEED, sampling=sampling, context=drawn[0].context)
    told = core.describe(
        engine, "What?", sampling=core.TextSampling(max_tokens=6), context=edited.context
    )
    segments = [tensor for s in told.context.segments for tensor in (s.keys, s.values)]
    pixels = core.decode_pixels(engine, edited.features)
    return [latents.values, features.values, drawn[1].features.values, pixels, *segments]


def load_within(share: float) -> Callable[..., None]:
    """Return a `load_models_gpu` that lets each model have a share of its size on the device."""

    def load(models: Sequence[Any], memory_required: int = 0) -> None:
        for patcher in models:
            patcher.detach()
            patcher.partially_load(torch.device("cpu"), share * patcher.model_size() + 0.1)

    return load


def streamed(model: Any) -> dict[str, int]:
    """Count, by class, the layers that stream now."""
    counts: dict[str, int] = {}
    for patcher in patchers_of(model):
        for module in patcher.model.modules():
            if getattr(module, "comfy_cast_weights", False):
                name = type(module).__name__
                counts[name] = counts.get(name, 0) + 1
    return counts


def patchers_of(model: Any) -> list[Any]:
    """Return all patchers of a model."""
    return [patcher for group in model.patchers.values() for patcher in group]


def streamed_on_a_small_device(host: ModuleType, model_of: Callable[[], Any]) -> dict[str, int]:
    """Count the layers that stream when the host itself divides a device that is too small.

    The meta device stands for it, with room for all dense layers and most of the experts.
    """
    device = torch.device("meta")
    mm.get_torch_device = lambda: device
    model = model_of()
    dense, experts = (patcher.model_size() for patcher in model.patchers["language_model"])
    room = dense + model.patchers["semantic_decoder"][0].model_size() + experts * 9 // 10
    mm.vram_state = mm.VRAMState.NORMAL_VRAM
    mm.MIN_WEIGHT_MEMORY_RATIO = 0.0
    mm.minimum_inference_memory = mm.extra_reserved_memory = lambda: 0
    mm.soft_empty_cache = lambda *_: None

    def free(_: torch.device, torch_free_too: bool = False) -> Any:
        used = sum(patcher.loaded_size() for patcher in patchers_of(model))
        return (room - used, 0) if torch_free_too else room - used

    mm.get_free_memory = free
    host.working_memory = lambda *_: 0
    for _ in range(2):  # the second time nothing should move
        host.prepare(model, host.TALKING, host.Work())
    return streamed(model)


def stranded(host: ModuleType, model: Any, share: float) -> list[str]:
    """Name weights that a partial load would leave behind without streaming them.

    The meta device stands for an accelerator: what is not moved to it and does not stream would
    meet its input on another device. Parameters of modules with children never move in a partial
    load; the engine casts those at use, and they are told apart here by their owner's name.
    """
    found = []
    for name, part in model.engine.components.items():
        patcher = host.comfy.model_patcher.ModelPatcher(
            part, torch.device("meta"), torch.device("cpu")
        )
        patcher.partially_load(torch.device("meta"), share * patcher.model_size() + 0.1)
        for path, module in part.named_modules():
            left = [p for p, w in module.named_parameters(recurse=False) if w.device.type == "cpu"]
            left += [b for b, w in module.named_buffers(recurse=False) if w.device.type == "cpu"]
            if left and not getattr(module, "comfy_cast_weights", False):
                found += [f"{name}.{path}.{weight}".replace("..", ".") for weight in left]
    return found


def copied_per_token(host: ModuleType) -> tuple[int, int]:
    """Return how many numbers a streaming expert layer copies for one expert, and its size."""
    layer = host.HostExpertLinear(8, 4, 6, dtype=torch.bfloat16)
    torch.nn.init.normal_(layer.weight)
    copied: list[int] = []
    original = mm.cast_to

    def counting(weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        copied.append(weight.numel())
        return original(weight, *args, **kwargs)

    mm.cast_to = counting
    try:
        out = layer(torch.ones(2, 4), expert=5)
    finally:
        mm.cast_to = original
    expected = torch.ones(2, 4) @ layer.weight[5].float().T
    if not torch.equal(out, expected):
        raise SystemExit("a streamed expert gives another result")
    return sum(copied), layer.weight.numel()


def is_freed_without_gc(host: ModuleType, model_of: Callable[[], Any]) -> bool:
    """Whether dropping the last reference frees the weights at once: no cycle, no global."""
    model = model_of()
    part = weakref.ref(model.engine.components["language_model"])
    everything(host, model)
    mm.unload_all_models()
    mm.current_loaded_models.clear()
    gc.disable()
    del model
    freed = part() is None
    gc.enable()
    return freed


def compare_loads(host: ModuleType, model: Any) -> dict[str, Any]:
    """Run a model fully loaded, within three budgets, and fully loaded again."""
    expected = everything(host, model)

    def is_same() -> bool:
        return all(
            torch.equal(*pair) for pair in zip(expected, everything(host, model), strict=True)
        )

    shares = {}
    original = mm.load_models_gpu
    for share in (0.0, 0.3, 0.7):
        mm.load_models_gpu = load_within(share)
        shares[str(share)] = {"same": is_same(), "streamed": streamed(model)}
    mm.load_models_gpu = original
    for patcher in patchers_of(model):
        patcher.detach()
    return {"shares": shares, "same_after_a_full_load_again": is_same()}


def main() -> None:
    logging.disable(logging.INFO)
    folder_paths.add_model_folder_path("ming_univision", ROOT, is_default=True)
    host = load_pack()

    def model_of(precision: str = "auto") -> Any:
        return host.load("Ming-UniVision", precision)

    with torch.inference_mode():
        figures = {
            precision: {
                **compare_loads(host, model_of(precision)),
                "stranded": stranded(host, model_of(precision), 0.3),
            }
            for precision in ("auto", "int8")
        }
        copied, size = copied_per_token(host)
        figures |= {"copied": copied, "size": size, "freed": is_freed_without_gc(host, model_of)}
    figures["small_device"] = {  # last, as it changes what the host believes of its device
        precision: streamed_on_a_small_device(host, lambda p=precision: model_of(p))
        for precision in ("auto", "int8")
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
