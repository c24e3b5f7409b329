"""Base directories for test servers: this pack linked in, a tiny checkpoint, a small device."""

import shutil
import sys
from pathlib import Path

from ming_bench.tiny_checkpoint.make import make_tiny

PACK = Path(__file__).parents[2]
sys.path.append(str(PACK / "tests" / "core" / "lite_uni"))

from tiny import make_tiny as make_tiny_lite  # noqa: E402

LITE = "Ming-Lite-Uni"
PACK_FOLDER = "ming-univision-nodes"
SMALL_DEVICE = Path(__file__).with_name("small_device.py")
WITNESS = Path(__file__).with_name("witness.py")


def make_base(base: Path, share: float | None = None) -> Path:
    """Fill an empty base directory; with a share, every model gets only that much of the device."""
    for name in ("custom_nodes", "input", "output"):
        (base / name).mkdir(parents=True)
    link_folder(PACK, base / "custom_nodes" / PACK_FOLDER)
    shutil.copy(WITNESS, base / "custom_nodes")
    make_tiny(base / "models" / "ming_univision")
    make_tiny_lite(base / "models" / "ming_univision" / LITE)
    if share is not None:
        source = SMALL_DEVICE.read_text(encoding="utf-8").replace("SHARE = 1.0", f"SHARE = {share}")
        (base / "custom_nodes" / SMALL_DEVICE.name).write_text(source, encoding="utf-8")
    return base


def link_folder(source: Path, target: Path) -> None:
    """Link a folder; on Windows by a junction, which needs no special right."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(source), str(target))
    else:
        target.symlink_to(source, target_is_directory=True)
