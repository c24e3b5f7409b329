"""Executes prompts in a real ComfyUI: one that runs already, or one started for the purpose.

Knows nothing about workflow files, only about prompts.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ming_core.foreign_text import is_text, plain, shown

from .comfyui_client import ComfyClient, RefusedError, answered_as_expected
from .comfyui_process import ComfyProcess
from .host import Folders, HostError, Job, Product, Watcher
from .node_definitions import NodeDefinition, parse_definitions
from .products import products_of

OUR_NODE, SAVE_CONTEXT = "MingUniVision_LoadModel", "MingUniVision_SaveContext"
_START_LIMIT = 300.0
_LONGEST_NAME, _DEEPEST = 240, 40  # bytes, with room for .part; folders


class ComfyHost:
    """A `Host` over HTTP. With `process`, its folders are this machine's; else files travel."""

    def __init__(self, url: str, folders: Folders, process: ComfyProcess | None = None) -> None:
        self.folders = folders
        self._process = process
        is_alive = process.is_alive if process else lambda: True
        self._client = ComfyClient(url, is_alive)
        self.label = f"in {process.root}" if process else f"in the ComfyUI at {url}"

    @classmethod
    def start(cls, root: Path, folders: Folders, arguments: list[str]) -> "ComfyHost":
        """Start ComfyUI from its folder and wait until it answers."""
        process = ComfyProcess(root, folders, arguments)
        host = cls(process.url, folders, process)
        try:
            host._wait_until_up()
        except BaseException:
            host.close()
            raise
        return host

    def definitions(self) -> dict[str, NodeDefinition]:
        answer = self._client.get("/object_info")
        with answered_as_expected(f"{self._client.url}/object_info"):
            found = parse_definitions(answer)
        if OUR_NODE not in found:
            log = f" Its log says:\n{self._process.last_lines()}" if self._process else ""
            raise HostError(
                f"ComfyUI runs {self.label.removeprefix('in ')}, but has no MingUniVision nodes. "
                f"Install the pack there, or look for an import error.{log}"
            )
        return found

    def offer_input(self, source: Path, name: str) -> None:
        if not self._has_input(name):
            self._client.upload_picture(source, name)

    def run(self, job: Job, watcher: Watcher) -> list[Product]:
        try:
            outputs = self._client.run(job, watcher)
        except HostError as error:
            if self._process is None or self._process.is_alive():
                raise
            raise HostError(f"{error}\n{self._process.last_lines()}") from error
        with answered_as_expected(f"{self._client.url}/history"):
            products = products_of(job, outputs, self._locate)
        if self._process is None:
            self._fetch_contexts(job, products)
        return products

    def close(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _fetch_contexts(self, job: Job, products: list[Product]) -> None:
        """Fetch what Save Latent Context wrote: it names its file in a text."""
        for product in products:
            class_type = job.prompt[product.node_id]["class_type"]
            if class_type == SAVE_CONTEXT and product.text is not None:
                subfolder, _, name = product.text.removesuffix(" [output]").rpartition("/")
                self._locate({"filename": name, "subfolder": subfolder, "type": "output"})

    def _has_input(self, name: str) -> bool:
        try:
            self._client.get_bytes("/view", filename=name, type="input")
        except RefusedError:
            return False
        return True

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            if self._process is not None and not self._process.is_alive():
                raise HostError(
                    f"ComfyUI in {self._process.root} ended while starting. Its last lines:\n"
                    f"{self._process.last_lines()}\nUse --headless to run without it."
                )
            try:
                self._client.get("/system_stats")
            except HostError:
                time.sleep(0.2)
            else:
                return
        raise HostError(f"ComfyUI did not answer within {_START_LIMIT:.0f} s after its start.")

    def _locate(self, entry: Mapping[str, str]) -> Path:
        """Where a result lies here; what a server elsewhere wrote is fetched."""
        kind = entry.get("type", "output")
        root = self.folders.output if kind == "output" else self.folders.work / "temp"
        target = root / entry.get("subfolder", "") / entry["filename"]
        if not _is_inside(target, root):
            raise HostError(
                f"{self._client.url}: a result is called {shown(dict(entry))}, which cannot lie in "
                f"{root}. Do not trust this server."
            )
        if self._process is not None and kind == "output":
            return target
        target = _unused(target) if kind == "output" else target
        partial = target.with_name(target.name + ".part")
        query = {key: entry[key] for key in ("filename", "subfolder", "type") if key in entry}
        try:
            content = self._client.get_bytes("/view", **query)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(target)
        except OSError as error:
            raise HostError(f"{plain(target)} cannot be written ({error.strerror}).") from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return target


def _is_inside(path: Path, root: Path) -> bool:
    """Whether a path can be one in a folder, wherever its links lead."""
    is_short = all(len(os.fsencode(part)) <= _LONGEST_NAME for part in path.parts)
    is_possible = is_text(str(path)) and is_short and len(path.parts) <= _DEEPEST
    return is_possible and path.resolve().is_relative_to(root.resolve())


def _unused(path: Path) -> Path:
    """The path itself, or one with a number behind its name when it is taken."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}({number}){path.suffix}")
    return candidate
