"""Draws the three pictures of the README's first workflow with the bundled model.

    python tools/draw_first_workflow.py

Reads the prompts from README.md, so that what stands there is what was drawn; writes
docs/images/first_workflow.png.
"""

import re
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ming_core import decode_pixels, edit, generate, load_model, to_pil  # noqa: E402

SIDE, GAP, SEED = 192, 8, 0


def prompts() -> list[str]:
    """Return what the first workflow tells the reader to type, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## A first workflow")[1].split("\n## ")[0]
    return [prompt for prompt in re.findall(r"`([^`]+)`", section) if prompt.endswith(".")]


def pictures() -> list[Image.Image]:
    """Draw the first prompt, and every other one as an edit of that picture."""
    model = load_model(ROOT / "bundled")
    first, *others = prompts()
    drawn = generate(model, first, seeds=[SEED])[0]
    edits = [edit(model, other, seed=SEED, context=drawn.context) for other in others]
    shown = [drawn.features, *(each.features for each in edits)]
    return [to_pil(decode_pixels(model, each))[0] for each in shown if each is not None]


def main() -> None:
    """Write the pictures side by side."""
    drawn = pictures()
    sheet = Image.new("RGB", (len(drawn) * (SIDE + GAP) - GAP, SIDE), "white")
    for index, picture in enumerate(drawn):
        sheet.paste(
            picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), (index * (SIDE + GAP), 0)
        )
    sheet.save(ROOT / "docs" / "images" / "first_workflow.png", optimize=True)


if __name__ == "__main__":
    main()
