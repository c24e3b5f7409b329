"""A real ComfyUI for tests: started on a base directory of its own, on the CPU.

Knows nothing about the pack but where it lies; talks HTTP and websocket as a browser does.
"""

import json
import os
import queue
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ming_run.comfyui_process import python_of
from ming_run.websocket_client import WebSocket, WebSocketError

Prompt = dict[str, dict[str, Any]]
ENDINGS = ("execution_success", "execution_error", "execution_interrupted")
START_SECONDS, RUN_SECONDS = 600, 300  # on a busy machine
COLOUR, LINE_HEAD = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"^\[INFO\] ", re.MULTILINE)
TEXT, PREVIEW_WITH_METADATA = 3, 4  # binary messages of the host


@dataclass
class Run:
    """What happened to one prompt: its messages in order, and what the history says.

    previews, texts  pictures and words in the making, each with the node that sent it
    """

    prompt_id: str
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)

    previews: list[tuple[str, bytes]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ending(self) -> str:
        """How it ended, one of `ENDINGS`."""
        return next(kind for kind, _ in reversed(self.messages) if kind in ENDINGS)

    @property
    def executing(self) -> list[str]:
        """The nodes that ran, in order; the host announces cached ones in another message."""
        told = [data["node"] for kind, data in self.messages if kind == "executing"]
        return [node for node in told if node]

    @property
    def executed(self) -> set[str]:
        """The nodes that ran."""
        return set(self.executing)

    @property
    def cached(self) -> set[str]:
        """The nodes whose result was taken from the host's cache."""
        lists = [data["nodes"] for kind, data in self.messages if kind == "execution_cached"]
        return {node for nodes in lists for node in nodes}

    @property
    def error(self) -> str:
        """The message of the error that ended it."""
        return next(d["exception_message"] for k, d in self.messages if k == "execution_error")

    def progress(self, node: str) -> list[tuple[int, int]]:
        """Return (done, total) of every progress message of a node."""
        wanted = [d for kind, d in self.messages if kind == "progress" and d["node"] == node]
        return [(data["value"], data["max"]) for data in wanted]

    def output(self, node: str, kind: str) -> list[Any]:
        """Return what an output node gave to the user."""
        return self.history["outputs"][node][kind]


class RefusedError(Exception):
    """The server did not take a prompt; `details` is its whole answer."""

    def __init__(self, details: dict[str, Any]):
        super().__init__(json.dumps(details))
        self.details = details


class ComfyServer:
    """A running server; `base` holds its models, custom_nodes, input, output and temp."""

    def __init__(
        self, comfyui: Path, base: Path, *options: str, through: Sequence[str] = ()
    ) -> None:
        """Start it, through another command if one is named, which must become the server."""
        self.base = base
        self.port = _free_port()
        self._log_path = base / "server.log"
        self._client_id = uuid.uuid4().hex
        self._messages: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        command = [*through, str(python_of(comfyui)), "main.py", "--cpu", "--disable-api-nodes"]
        command += ["--port", str(self.port), "--base-directory", str(base)]
        command += ["--database-url", "sqlite:///:memory:", *options]
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=comfyui, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_it_answers()
        self._socket = WebSocket(self._url(f"/ws?clientId={self._client_id}"), timeout=30)
        flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        self._socket.send_text(json.dumps(flags))
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def log(self) -> str:
        """Everything the server has printed, without colours and what newer hosts begin with."""
        text = self._log_path.read_text(errors="replace")
        return LINE_HEAD.sub("", COLOUR.sub("", text))

    def stop(self) -> None:
        """End the server and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path: str) -> bytes:
        """Fetch a path."""
        return self._request(urllib.request.Request(self._url(path)))

    def get_json(self, path: str) -> Any:
        """Fetch a path that answers JSON."""
        return json.loads(self.get(path))

    def post(self, path: str, content: object) -> bytes:
        """Send JSON to a path."""
        headers = {"Content-Type": "application/json"}
        body = json.dumps(content).encode()
        return self._request(urllib.request.Request(self._url(path), body, headers))

    def queue(self, prompt: Prompt, **extra: object) -> str:
        """Queue a prompt and return its id; raises `RefusedError` with the server's answer."""
        content = {"prompt": prompt, "client_id": self._client_id, "extra_data": extra}
        return json.loads(self.post("/prompt", content))["prompt_id"]

    def started(self, prompt: Prompt, **extra: object) -> Run:
        """Queue a prompt and return at once; `finish` waits for its end."""
        return Run(self.queue(prompt, **extra))

    def run(self, prompt: Prompt, **extra: object) -> Run:
        """Queue a prompt and wait for its end; `extra` is what the page sends along."""
        return self.finish(self.started(prompt, **extra))

    def wait_for_progress(self, run: Run, count: int, node: str | None = None) -> None:
        """Wait until a node, or all together, have told of so many steps done.

        Newer hosts tell of some steps only: the first, the last, and ten a second.
        """
        done: dict[str, int] = {}
        while sum(done.values()) < count:
            name, data = self._next_message(run)
            if name in ENDINGS:
                raise AssertionError(f"The prompt ended ({name}) after {done} steps: {data}")
            if name == "progress" and node in (None, data["node"]):
                done[data["node"]] = data["value"]

    def finish(self, run: Run) -> Run:
        """Wait for the end of a prompt and fetch its history."""
        while not any(kind in ENDINGS for kind, _ in run.messages):
            self._next_message(run)
        deadline = time.monotonic() + 10  # the history is written just after the last message
        while not run.history and time.monotonic() < deadline:
            run.history = self.get_json(f"/history/{run.prompt_id}").get(run.prompt_id, {})
        return run

    def free(self) -> None:
        """Ask the server to forget its models and results, and give its worker time to."""
        self.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1)  # a prompt that is queued before the worker wakes up would go first

    def view(self, file: dict[str, str]) -> bytes:
        """Fetch a file that an output node named."""
        query = "&".join(f"{key}={urllib.request.quote(value)}" for key, value in file.items())
        return self.get(f"/view?{query}")

    def resident_bytes(self) -> int:
        """Return the resident memory of the server process (Linux)."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _next_message(self, run: Run) -> tuple[str, dict[str, Any]]:
        """Return the next message of a prompt and keep it in the run."""
        while True:
            try:
                kind, data = self._messages.get(timeout=RUN_SECONDS)
            except queue.Empty:
                raise TimeoutError(f"No message for {RUN_SECONDS} s.\n{self.log[-4000:]}") from None
            if data.get("prompt_id") == run.prompt_id:
                if kind == "preview":
                    run.previews.append((data["node"], data["picture"]))
                elif kind == "text":
                    run.texts.append((data["node"], data["text"]))
                else:
                    run.messages.append((kind, data))
                return kind, data

    def _listen(self) -> None:
        """Put every JSON message into the queue, until the server goes."""
        running = ""  # texts do not say which prompt they belong to
        with suppress(WebSocketError):
            while True:
                received = self._socket.receive(RUN_SECONDS)
                if isinstance(received, str):
                    message = json.loads(received)
                    kind, data = message["type"], message["data"]
                    running = data.get("prompt_id", running) if kind == "executing" else running
                    self._messages.put((kind, data))
                elif received is not None:
                    self._messages.put(_read_binary(received, running))

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _request(self, request: urllib.request.Request) -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise RefusedError(json.load(error)) from None
            raise

    def _wait_until_it_answers(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + START_SECONDS:
            self.seconds_to_start = time.monotonic() - began
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
            except OSError:
                time.sleep(0.3)
            else:
                return
        self.stop()
        raise RuntimeError(f"ComfyUI did not start.\n{self.log[-6000:]}")


def _read_binary(received: bytes, prompt_id: str) -> tuple[str, dict[str, Any]]:
    """Take a picture or a text apart: what it is, its head's length, its head, and the rest."""
    code, length = struct.unpack(">II", received[:8])
    head, rest = received[8 : 8 + length], received[8 + length :]
    if code == TEXT:
        return "text", {"prompt_id": prompt_id, "node": head.decode(), "text": rest.decode()}
    if code != PREVIEW_WITH_METADATA:
        return "unknown", {"code": code}
    told = json.loads(head)
    return "preview", {"prompt_id": told["prompt_id"], "node": told["node_id"], "picture": rest}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
