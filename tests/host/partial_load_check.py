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
PRECISIONS = ("fp32", "int8", "int4")


def load_pack() -> ModuleType:
    """Import the pack as the host does and return its `nodes.host.models`."""
    spec = importlib.util.spec_from_file_location("pack", Path(PACK) / "__init__.py")
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    asyncio.run(pack.comfy_entrypoint())
    return importlib.import_module("pack.nodes.host.models")


def everything(host: ModuleType, model: Any) -> list[Tensor]:
    """Run every component once and return all tensors that come out."""
    core = importlib.import_module("pack.ming_core")
    photo = torch.rand(1, 80, 120, 3, generator=torch.Generator().manual_seed(SEED))
    sampling = core.ImageSampling(steps=2)
    engine = host.prepare(
        model, core.Stage(tuple(model.patchers), core.working_memory(model.engine, None, None, 2))
    )
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


def slots_of(model: Any) -> dict[str, Any]:
    """Say how many experts of each layer have a slot, and what the slots copied and found."""
    layers = [m for m in model.engine.parts.language_model.modules() if hasattr(m, "slots")]
    slots = [layer.slots for layer in layers if layer.slots is not None]
    return {
        "layers": len(layers),
        "with_slots": len(slots),
        "resident": sum(len(one.resident) for one in slots),
        "copied": sum(one.traffic.bytes_copied for one in slots),
        "found": sum(one.traffic.found for one in slots),
        "patcher_bytes": sum(p.loaded_size() for p in model.patchers["language_model"][1:]),
        "slot_bytes": sum(one.nbytes for one in slots),
        "ids": [id(one) for one in slots],
    }


def patchers_of(model: Any) -> list[Any]:
    """Return all patchers of a model."""
    return [patcher for group in model.patchers.values() for patcher in group]


class SmallDevice:
    """The meta device in the place of one that is too small; the host itself divides it."""

    def __init__(self, host: ModuleType, model_of: Callable[[], Any]) -> None:
        self.host, self.model_of = host, model_of
        self.core = importlib.import_module("pack.ming_core")
        self.room = 0
        mm.get_torch_device = lambda: torch.device("meta")
        mm.vram_state = mm.VRAMState.NORMAL_VRAM
        mm.MIN_WEIGHT_MEMORY_RATIO = 0.0
        mm.minimum_inference_memory = mm.extra_reserved_memory = lambda: 0
        mm.soft_empty_cache = lambda *_: None
        mm.get_free_memory = self.free
        memory = importlib.import_module("pack.ming_core.univision.memory")
        memory.working_memory = lambda *_: 0
        self.start()

    def start(self) -> None:
        """Begin with a fresh model: what went to the meta device cannot come back."""
        mm.current_loaded_models.clear()
        self.model = None
        self.model = self.model_of()
        dense, self.experts = (p.model_size() for p in self.model.patchers["language_model"])
        self.dense = dense + self.model.patchers["semantic_decoder"][0].model_size()

    def free(self, _: torch.device, torch_free_too: bool = False) -> Any:
        used = sum(patcher.loaded_size() for patcher in patchers_of(self.model))
        return (self.room - used, 0) if torch_free_too else self.room - used

    def prepare(self, room: int) -> dict[str, Any]:
        """Make ready for drawing within a room; say what streams and what has slots."""
        self.room = room
        stage = self.core.turn_stage(self.model.engine)
        engine = self.host.prepare(self.model, stage)
        self.host.refuse_streamed(engine)  # as prepare_drawing, which would paint a speck too
        return {"streamed": streamed(self.model), **slots_of(self.model)}


def on_a_small_device(host: ModuleType, model_of: Callable[[], Any]) -> dict[str, Any]:
    """Say how a model shares devices of several sizes."""
    small = SmallDevice(host, model_of)
    figures: dict[str, Any] = {}
    figures["most"] = small.prepare(small.dense + small.experts * 9 // 10)
    figures["most_again"] = small.prepare(small.room - small.experts // 100)
    figures["some"] = small.prepare(small.dense + small.experts // 2)
    small.model.patchers["language_model"][1].detach()
    figures["unloaded"] = slots_of(small.model)
    small.start()
    figures["all"] = small.prepare(2 * (small.dense + small.experts))
    small.start()
    try:
        small.prepare(small.dense // 10)
    except small.core.MingError as error:
        figures["refusal"] = str(error)
    return figures


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
    layer = host.HostOperations.ExpertLinear(8, 4, 6, dtype=torch.bfloat16)
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
        shares[str(share)]["slots"] = slots_of(model)
    mm.load_models_gpu = original
    for patcher in patchers_of(model):
        patcher.detach()
    return {"shares": shares, "same_after_a_full_load_again": is_same()}


def main() -> None:
    logging.disable(logging.INFO)
    folder_paths.add_model_folder_path("ming_univision", ROOT, is_default=True)
    host = load_pack()

    def model_of(precision: str = "fp32") -> Any:
        return host.load("Ming-UniVision", precision)

    with torch.inference_mode():
        figures = {
            precision: {
                **compare_loads(host, model_of(precision)),
                "stranded": stranded(host, model_of(precision), 0.3),
            }
            for precision in PRECISIONS
        }
        copied, size = copied_per_token(host)
        figures |= {"copied": copied, "size": size, "freed": is_freed_without_gc(host, model_of)}
    figures["small_device"] = {  # last, as it changes what the host believes of its device
        precision: on_a_small_device(host, lambda p=precision: model_of(p))
        for precision in PRECISIONS
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
