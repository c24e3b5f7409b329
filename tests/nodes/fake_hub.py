"""A hub on 127.0.0.1 that answers as Hugging Face and ModelScope do, and misbehaves on demand."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Repositories, and what goes wrong: one fault per request of a file, in order.

    A fault is a status (429), ("cut", n): the connection ends after n bytes, ("stall", n): silence
    after n bytes, "wrong": other bytes, "whole": Range is ignored, "endless": more and more, or
    None.
    """

    repositories: dict[str, dict[str, bytes]]
    faults: list[Any] = field(default_factory=list)
    listing_status: int = 200
    listing_body: bytes | None = None  # in place of what there is
    moved: str | None = None  # where bytes are said to lie; an endless text goes with it
    requests: list[dict[str, str]] = field(default_factory=list)
    is_closing: bool = False
    before_bytes: Callable[[str], object] = lambda _path: None  # is called for every file
    wrong: set[str] = field(default_factory=set)  # files whose bytes are other ones
    others: list[str] = field(default_factory=list)  # what was asked besides

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.is_closing = True
        self._server.shutdown()
        self._server.server_close()

    def ranges(self) -> list[str]:
        """The Range of every request of bytes, in order."""
        return [request["range"] for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    sent = 0
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if url.path.startswith("/api/v1/models/"):
            return self._model_scope(parts[3:], parse_qs(url.query))
        if url.path.startswith("/api/models/"):
            return self._listing("/".join(parts[2:4]), self._hugging_face)
        if parts[0] == "api":  # what huggingface_hub asks besides
            self.hub.others.append(self.path)
            return self._json({"error": "no"}, 404)
        if parts[0] == "cdn":
            return self._bytes("/".join(parts[1:3]), "/".join(parts[3:]))
        repository, path = "/".join(parts[:2]), "/".join(parts[4:])
        if path.endswith(".safetensors"):  # as the Hub sends large files elsewhere
            self.send_response(302)
            self.send_header(
                "Location", f"http://localhost:{self.hub.port}/cdn/{repository}/{path}"
            )
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return self._bytes(repository, path)

    def _listing(self, repository: str, form: Any) -> None:
        status = self.hub.listing_status
        if status == 200 and repository not in self.hub.repositories:
            status = 404
        if status != 200:
            return self._json({"error": "no"}, status)
        if self.hub.listing_body is not None:
            return self._answer(self.hub.listing_body)
        return self._json(form(repository))

    def _hugging_face(self, repository: str) -> dict[str, Any]:
        siblings = []
        for name, content in self.hub.repositories[repository].items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content)}
            header = f"blob {len(content)}\0".encode()
            entry["blobId"] = hashlib.sha1(header + content).hexdigest()
            if name.endswith(".safetensors"):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        card = {"license": "mit"}
        return {"id": repository, "sha": COMMIT, "siblings": siblings, "cardData": card}

    def _model_scope(self, parts: list[str], query: dict[str, list[str]]) -> None:
        repository = "/".join(parts[:2])
        if parts[2:] == ["repo"]:
            return self._bytes(repository, query["FilePath"][0])
        if parts[2:] == ["repo", "files"]:
            return self._listing(repository, self._model_scope_files)
        return self._listing(repository, lambda _: {"Data": {"License": "Apache License 2.0"}})

    def _model_scope_files(self, repository: str) -> dict[str, Any]:
        files: list[dict[str, Any]] = [{"Path": "folder", "Type": "tree", "Size": 0}]
        for name, content in self.hub.repositories[repository].items():
            sha256 = hashlib.sha256(content).hexdigest()
            files.append({"Path": name, "Type": "blob", "Size": len(content), "Sha256": sha256})
        return {"Code": 200, "Data": {"Files": files}}

    def _json(self, content: object, status: int = 200) -> None:
        self._answer(json.dumps(content).encode(), status)

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "17")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _bytes(self, repository: str, path: str) -> None:
        asked = self.headers.get("Range", "")
        sign_in = self.headers.get("Authorization", "")
        cookie = self.headers.get("Cookie", "")
        request = {"path": path, "range": asked, "authorization": sign_in, "cookie": cookie}
        self.hub.requests.append(request)
        self.hub.before_bytes(path)
        fault = self.hub.faults.pop(0) if self.hub.faults else None
        if isinstance(fault, int):
            return self._json({"error": "no"}, fault)
        content = self.hub.repositories[repository][path]
        if fault == "endless" or self.hub.moved is not None:
            return self._endless()
        if fault == "wrong" or path in self.hub.wrong:
            content = bytes(byte ^ 1 for byte in content)
        start = 0 if fault == "whole" or not asked else int(asked[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        kind, count = fault if isinstance(fault, tuple) else ("", len(content))
        with suppress(ConnectionError):  # whoever asked has gone
            self.wfile.write(content[start : start + count])
            self.wfile.flush()
        while kind == "stall" and not self.hub.is_closing:
            time.sleep(0.05)
        self.close_connection = True
        return None

    def _endless(self) -> None:
        self.send_response(200 if self.hub.moved is None else 302)
        if self.hub.moved is not None:
            self.send_header("Location", self.hub.moved)
            self.hub.moved = None
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            while not self.hub.is_closing:
                self.wfile.write(bytes(1 << 16))
                self.sent += 1 << 16
