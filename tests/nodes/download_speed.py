"""How long eight shards take from a hub on this machine that gives each connection 4 MB/s.

`python tests/nodes/download_speed.py [PYTHON]` times ours, and where PYTHON has the packages,
huggingface_hub and modelscope, each as a process of its own without its start.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import fake_hub  # noqa: E402

RATE = 4_000_000  # bytes a second and connection
SHARDS = 8
SIZE = 9_000_000  # bytes of each
NAME = "owner/eight"
OURS = """
import sys, time
from pathlib import Path
import ming_download as d
class Watch:
    def advance(self, *_): pass
    def advance_file(self, *_): pass
    def check_cancelled(self): pass
began = time.monotonic()
source = d.SOURCES[sys.argv[2]]()
d.download(d.make_plan(source, [d.Repository("owner/eight")], Path(sys.argv[1]), Watch()), Watch())
print(time.monotonic() - began)
"""
THEIRS = {
    "huggingface_hub": """
import sys, time
from huggingface_hub import snapshot_download
began = time.monotonic()
snapshot_download("owner/eight", local_dir=sys.argv[1])
print(time.monotonic() - began)
""",
    "modelscope": """
import sys, time
from modelscope import snapshot_download
began = time.monotonic()
snapshot_download("owner/eight", local_dir=sys.argv[1])
print(time.monotonic() - began)
""",
}


class SlowHandler(fake_hub._Handler):
    """Answers what the two packages ask besides, and sends bytes slowly."""

    def do_HEAD(self) -> None:  # noqa: N802
        name = urlsplit(self.path).path.split("/")[-1]
        content = self.hub.repositories[NAME][name]
        digest = hashlib.sha256(content).hexdigest()
        self.send_response(200)
        self.send_header("X-Repo-Commit", fake_hub.COMMIT)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()

    def _listing(self, repository: str, form: Callable[[str], dict[str, Any]]) -> None:
        if "/tree/" not in self.path:
            return super()._listing(repository, form)
        entries = [
            {"type": "file", "path": e["rfilename"], "size": e["size"], "oid": e["blobId"]}
            | ({"lfs": {**e["lfs"], "oid": e["lfs"]["sha256"]}} if "lfs" in e else {})
            for e in self._hugging_face(repository)["siblings"]
        ]
        return self._answer(json.dumps(entries).encode())

    def _bytes(self, repository: str, path: str) -> None:
        content = self.hub.repositories[repository][path]
        first, last = self._range(len(content))
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        began = time.monotonic()
        for start in range(first, last + 1, 65536):
            self.wfile.write(content[start : min(start + 65536, last + 1)])
            ahead = began + (start + 65536 - first) / RATE - time.monotonic()
            time.sleep(max(ahead, 0))

    def _range(self, size: int) -> tuple[int, int]:
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = asked.partition("-")
        return int(first or 0), min(int(last or size - 1), size - 1)


def main() -> int:
    """Print the seconds of each."""
    fake_hub._Handler = SlowHandler
    shards = {f"model-{i}.safetensors": os.urandom(SIZE) for i in range(SHARDS)}
    hub = fake_hub.FakeHub({NAME: {**shards, "config.json": b"{}"}})
    places = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url, "NO_PROXY": "*"}
    sources = ("Hugging Face", "ModelScope")
    cases = [(f"ming, {name}", sys.executable, OURS, [name]) for name in sources]
    cases += [(name, python, code, []) for python in sys.argv[1:] for name, code in THEIRS.items()]
    for label, python, code, more in cases:
        with tempfile.TemporaryDirectory() as folder:
            caches = {"HF_HOME": f"{folder}/hf", "MODELSCOPE_CACHE": f"{folder}/ms"}
            root = str(Path(__file__).parents[2])
            done = subprocess.run(
                [python, "-P", "-c", code, f"{folder}/here", *more],
                env={**os.environ, **places, **caches, "PYTHONPATH": root if more else ""},
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = done.stdout.split()[-1:] or [done.stderr[-1500:]]
            print(f"{label}: {seconds[0]}")
    hub.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
