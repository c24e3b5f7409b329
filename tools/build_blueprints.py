"""Writes the subgraph blueprints that ComfyUI offers as nodes.

python tools/build_blueprints.py            write subgraphs/*.json
python tools/build_blueprints.py --check    only tell whether the files are up to date
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from blueprint_drawing import Face, to_blueprint  # noqa: E402
from build_workflows import GENERATE, REFINE, as_text, version  # noqa: E402
from workflow_drawing import Canvas, DrawnNode  # noqa: E402

from ming_run.headless import HeadlessHost  # noqa: E402
from ming_run.host import Folders  # noqa: E402
from ming_run.node_definitions import NodeDefinition  # noqa: E402

FOLDER = ROOT / "subgraphs"
CHAIN = (
    "Change the colour of the roof to blue.",
    "Remove the tree beside the house.",
    "Turn the scene into a snowy winter day.",
)


def generate(canvas: Canvas) -> Face:
    """Ming-UniVision Generate"""
    loader = canvas.add("LoadModel", (0, 0))
    prompt = f"{GENERATE}A large red circle in the centre on a blue background."
    drawn = canvas.add("Generate", (1, 0), model=loader["model"], prompt=prompt)
    image = canvas.add("PixelDecode", (2, 0), model=loader["model"], features=drawn["features"])
    return Face(
        inputs={
            "prompt": [(drawn, "prompt")],
            "seed": [(drawn, "seed")],
            "images": [(drawn, "images")],
            "steps": [(drawn, "steps")],
            "checkpoint": [(loader, "checkpoint")],
        },
        outputs={
            "image": (image, "image"),
            "context": (drawn, "context"),
            "features": (drawn, "features"),
            "model": (loader, "model"),
        },
        description="Draws a picture from a prompt, token by token. Go on from its context with "
        "Edit Step or Describe.",
        aliases=["text to image", "ming", "autoregressive"],
    )


def edit_chain(canvas: Canvas) -> Face:
    """Ming-UniVision Edit chain"""
    loader, encoded, expanded = _given_picture(canvas)
    steps: list[DrawnNode] = []
    images: list[DrawnNode] = []
    for number, instruction in enumerate(CHAIN, start=1):
        start = {"context": steps[-1]["context"]} if steps else {"features": expanded["features"]}
        step = canvas.add(
            "EditStep",
            (number + 1, 0),
            f"Edit {number}",
            model=loader["model"],
            instruction=instruction,
            **start,
        )
        steps.append(step)
        image = canvas.add(
            "PixelDecode", (number + 1, 1), model=loader["model"], features=step["features"]
        )
        images.append(image)
    instructions = {f"instruction {n}": [(s, "instruction")] for n, s in enumerate(steps, start=1)}
    return Face(
        inputs={
            "image": [(encoded, "image")],
            **instructions,
            "seed": [(step, "seed") for step in steps],
            "checkpoint": [(loader, "checkpoint")],
        },
        outputs={
            **{f"image {n}": (i, "image") for n, i in enumerate(images, start=1)},
            "context": (steps[-1], "context"),
            "model": (loader, "model"),
        },
        description="Edits a picture three times in one conversation; no picture is decoded and "
        "encoded again in between.",
        aliases=["image edit", "ming", "instruction edit"],
    )


def super_resolution(canvas: Canvas) -> Face:
    """Ming-UniVision Super-resolution"""
    loader, encoded, expanded = _given_picture(canvas)
    step = canvas.add(
        "EditStep",
        (2, 0),
        "Sharpen",
        model=loader["model"],
        instruction=REFINE,
        features=expanded["features"],
    )
    image = canvas.add("PixelDecode", (3, 0), model=loader["model"], features=step["features"])
    return Face(
        inputs={
            "image": [(encoded, "image")],
            "instruction": [(step, "instruction")],
            "seed": [(step, "seed")],
            "checkpoint": [(loader, "checkpoint")],
        },
        outputs={
            "image": (image, "image"),
            "context": (step, "context"),
            "model": (loader, "model"),
        },
        description="Refines a small or blurred picture at the model's size. Its context may go "
        "on, for example to colours.",
        aliases=["upscale", "ming", "sharpen"],
    )


DESCRIPTIONS: tuple[Callable[[Canvas], Face], ...] = (generate, edit_chain, super_resolution)


def _given_picture(canvas: Canvas) -> tuple[DrawnNode, DrawnNode, DrawnNode]:
    """Add what stands before an edit: loader, encoder, semantic decoder."""
    loader = canvas.add("LoadModel", (0, 0))
    encoded = canvas.add("EncodeImage", (1, 0), model=loader["model"], use="edit")
    expanded = canvas.add(
        "SemanticExpand", (1, 1), model=loader["model"], latents=encoded["latents"]
    )
    return loader, encoded, expanded


def build(definitions: Mapping[str, NodeDefinition]) -> dict[Path, str]:
    """Every file that should exist, with its content."""
    files = {}
    for describe in DESCRIPTIONS:
        name = describe.__doc__ or ""
        canvas = Canvas(name, definitions, version())
        files[FOLDER / f"{name}.json"] = as_text(to_blueprint(canvas, describe(canvas)))
    return files


def main() -> int:
    """Write the files, or with --check compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        host = HeadlessHost(Folders(empty / "input", empty / "output", empty / "work"))
        files = build(host.definitions())
    existing = set(FOLDER.glob("*.json"))
    stale = [p for p, t in files.items() if p not in existing or p.read_text("utf-8") != t]
    stray = sorted(existing - set(files))
    for path in [*stale, *stray]:
        verdict = "out of date" if is_check else "written" if path in files else "stray"
        sys.stdout.write(f"{verdict}: {path.name}\n")
    if not is_check:
        FOLDER.mkdir(exist_ok=True)
        for path in stale:
            path.write_text(files[path], encoding="utf-8", newline="\n")
    return int(is_check and bool(stale or stray))


if __name__ == "__main__":
    sys.exit(main())
