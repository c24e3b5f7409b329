"""What the checks over HTTP share: a prompt's results as one digest, and a server's memory."""

import hashlib
import io
import os
from pathlib import Path

from comfy_server import ComfyServer, Run
from PIL import Image

MIB = 1 << 20


def digest_of(server: ComfyServer, run: Run) -> str:
    """Return one name for everything a run gave its user: pixels, texts, saved contexts."""
    digest = hashlib.sha256()
    for node, output in sorted(run.history["outputs"].items()):
        for file in output.get("images", []):
            picture = Image.open(io.BytesIO(server.view(file))).convert("RGB")
            digest.update(f"{node}{picture.size}".encode() + picture.tobytes())
        for text in output.get("text", []):
            saved = server.base / "output" / text.removesuffix(" [output]")
            is_file = text.endswith(" [output]") and saved.is_file()
            digest.update(saved.read_bytes() if is_file else text.encode())
    return digest.hexdigest()


def peak_bytes(server: ComfyServer) -> int:
    """Return the most memory the server process has held at once (Linux)."""
    return _status(server, "VmHWM:")


def own_bytes(server: ComfyServer) -> int:
    """Return the memory that the server process alone has, and no file backs (Linux)."""
    return _status(server, "RssAnon:")


def processor_seconds(server: ComfyServer) -> float:
    """Return the processor time the server has used so far (Linux)."""
    text = Path(f"/proc/{server.process.pid}/stat").read_text()
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _status(server: ComfyServer, name: str) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
