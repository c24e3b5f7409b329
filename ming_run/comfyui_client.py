"""Talks to a running ComfyUI over HTTP and its WebSocket.

Knows nothing about how the server was started.
"""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ming_core.errors import ForeignError
from ming_core.foreign_json import parse_json
from ming_core.foreign_text import plain

from .host import HostError, Interrupted, Job, NodeError, Watcher, WorkflowError, title_of
from .websocket_client import WebSocket

MOST_BYTES = 1 << 30  # of one answer
_WAIT = 2.0  # seconds between looks at whether the server still lives
_INTERRUPT_WAIT = 60.0


class RefusedError(HostError):
    """The server answered a request with an error; `body` is what it said."""

    def __init__(self, message: str, body: bytes) -> None:
        super().__init__(message)
        self.body = body


@contextmanager
def answered_as_expected(where: str) -> Generator[None, None, None]:
    """Turn what an answer of another form leads to into a HostError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ForeignError) as error:
        raise HostError(
            f"{where}: this is not how a ComfyUI answers ({plain(repr(error))})."
        ) from error


class ComfyClient:
    """One client of one server; `is_alive` tells when waiting has become useless."""

    def __init__(self, url: str, is_alive: Callable[[], bool] = lambda: True) -> None:
        self.url = url.rstrip("/")
        self._is_alive = is_alive
        self._id = uuid.uuid4().hex

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - any JSON
        """The JSON a route answers with."""
        return self._parsed(path, self.get_bytes(path, **query))

    def get_bytes(self, path: str, **query: str) -> bytes:
        """The body a route answers with."""
        return self._open(path + (f"?{urlencode(query)}" if query else ""))

    def post(self, path: str, content: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Send JSON; the answer's JSON, or None where the route answers nothing."""
        headers = {"Content-Type": "application/json"}
        body = self._open(path, json.dumps(content).encode(), headers)
        return self._parsed(path, body) if body else None

    def upload_picture(self, source: Path, name: str) -> None:
        """Put a picture into the server's input folder under `name`."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + source.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        self._open("/upload/image", body, headers)

    def run(self, job: Job, watcher: Watcher) -> dict[str, dict[str, Any]]:
        """Queue a prompt, wait for its end; {node id: ui values}."""
        socket = self._connect()
        try:
            prompt_id = self._queue(job)
            try:
                _Follower(self, socket, job, prompt_id, watcher).follow()
            except KeyboardInterrupt:
                self.interrupt(prompt_id)
                raise
        finally:
            socket.close()
        return self.outputs_of(prompt_id)

    def outputs_of(self, prompt_id: str) -> dict[str, dict[str, Any]]:
        """What the output nodes of a prompt gave: {node id: ui values}."""
        path = f"/history/{prompt_id}"
        with answered_as_expected(f"{self.url}{path}"):
            outputs = self.get(path)[prompt_id]["outputs"]
            return {node_id: dict(values) for node_id, values in outputs.items()}

    def interrupt(self, prompt_id: str) -> None:
        """Stop a prompt and wait until it has stopped, so that no file is left half-written."""
        self.post("/interrupt", {"prompt_id": prompt_id})
        self.post("/queue", {"delete": [prompt_id]})
        deadline = time.monotonic() + _INTERRUPT_WAIT
        while self._is_alive() and time.monotonic() < deadline and self.is_queued(prompt_id):
            time.sleep(0.1)

    def is_queued(self, prompt_id: str) -> bool:
        """True while a prompt waits or runs."""
        queue = self.get("/queue")
        with answered_as_expected(f"{self.url}/queue"):
            return any(entry[1] == prompt_id for part in queue.values() for entry in part)

    def check_alive(self) -> None:
        """Raise when the server process has ended."""
        if not self._is_alive():
            raise HostError("ComfyUI ended while the workflow ran; its last lines stand above.")

    def _connect(self) -> WebSocket:
        try:
            return WebSocket(f"{self.url}/ws?clientId={self._id}", timeout=30)
        except OSError as error:
            raise HostError(f"{self.url}: no WebSocket connection ({error}).") from error

    def _queue(self, job: Job) -> str:
        content: dict[str, Any] = {"prompt": job.prompt, "client_id": self._id}
        if job.workflow is not None:
            content["extra_data"] = {"extra_pnginfo": {"workflow": job.workflow}}
        try:
            answer = self.post("/prompt", content)
        except RefusedError as error:
            raise WorkflowError(_refusal(job, error.body)) from error
        with answered_as_expected(f"{self.url}/prompt"):
            return answer["prompt_id"]

    def _parsed(self, path: str, body: bytes) -> Any:  # noqa: ANN401
        try:
            return parse_json(body, f"{self.url}{path}")
        except ForeignError as error:
            raise HostError(f"{error} This is not how a ComfyUI answers.") from error

    def _open(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, headers=dict(headers or {}))  # noqa: S310 - the person names the server
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                content = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            said = error.read(MOST_BYTES)
            raise RefusedError(f"{self.url}{path}: ComfyUI says {plain(error)}.", said) from error
        except (OSError, HTTPException) as error:
            raise HostError(f"{self.url}: ComfyUI does not answer ({plain(error)}).") from error
        if len(content) > MOST_BYTES:
            raise HostError(f"{self.url}{path}: ComfyUI sends more than {MOST_BYTES:,} bytes.")
        return content


class _Follower:
    """Reads the server's messages about one prompt until it ends."""

    def __init__(
        self, client: ComfyClient, socket: WebSocket, job: Job, prompt_id: str, watcher: Watcher
    ) -> None:
        self._client = client
        self._socket = socket
        self._job = job
        self._prompt_id = prompt_id
        self._watcher = watcher

    def follow(self) -> None:
        while True:
            try:
                message = self._socket.receive(_WAIT)
            except OSError as error:
                self._client.check_alive()
                raise HostError(f"The connection to ComfyUI broke ({error}).") from error
            if message is None:
                self._client.check_alive()
                if not self._client.is_queued(self._prompt_id):
                    return self._check_history()
            elif isinstance(message, str):
                with answered_as_expected(f"{self._client.url}/ws"):
                    if self._is_end(parse_json(message, "a message")):
                        return None

    def _is_end(self, message: Mapping[str, Any]) -> bool:
        """Pass one message on; True once the prompt has ended."""
        content = message.get("data", {})
        if content.get("prompt_id") != self._prompt_id:
            return False
        kind = message["type"]
        if kind == "executing" and content.get("node") is not None:
            self._watcher.node_started(self._title(content["node"]))
        elif kind == "progress":
            self._watcher.advanced(int(content["value"]), int(content["max"]))
        elif kind == "execution_error":
            self._on_error(content)
        elif kind == "execution_interrupted":
            title = self._title(content.get("node_id", ""))
            raise Interrupted(f"{self._job.name}: interrupted at {title!r}.")
        return kind == "executing" and content.get("node") is None

    def _on_error(self, content: Mapping[str, Any]) -> None:
        title, message = self._title(content["node_id"]), content["exception_message"].strip()
        if content.get("exception_type") == "ExecutionBlocked":  # a branch is skipped, no failure
            self._watcher.noted(f"{title} skipped: {message.removeprefix('Execution Blocked: ')}")
            return
        raise NodeError(title, content["node_type"], message)

    def _check_history(self) -> None:
        """The end was missed on the WebSocket: read what happened from the history."""
        path = f"/history/{self._prompt_id}"
        with answered_as_expected(f"{self._client.url}{path}"):
            entry = self._client.get(path).get(self._prompt_id, {})
            for kind, content in entry.get("status", {}).get("messages", []):
                if kind in ("execution_error", "execution_interrupted"):
                    self._is_end({"type": kind, "data": {**content, "prompt_id": self._prompt_id}})

    def _title(self, node_id: str) -> str:
        real_id = node_id.split(".")[0]  # nodes made while running are called "12.0.0.1"
        node = self._job.prompt.get(real_id)
        return title_of(node) if node else plain(node_id)


def _refusal(job: Job, body: bytes) -> str:
    """The server's reasons for refusing a prompt, one a line."""
    try:
        answer = parse_json(body, "the answer")
        lines = [plain(answer["error"]["message"]) + _detail(answer["error"])]
    except (ForeignError, LookupError, TypeError):
        return f"{job.name}: ComfyUI refused it: {body.decode(errors='replace')[:500]}"
    for node_id, entry in (answer.get("node_errors") or {}).items():
        node = job.prompt.get(node_id) or entry
        for error in entry.get("errors", []):
            message = plain(error["message"]) + _detail(error)
            lines.append(f"  - node {plain(node_id)} {title_of(node)!r}: {message}")
    return f"{job.name}: ComfyUI refused it: " + "\n".join(lines)


def _detail(error: Mapping[str, Any]) -> str:
    return f" ({plain(error['details'])})" if error.get("details") else ""
