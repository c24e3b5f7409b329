"""Writes the subgraph blueprints that ComfyUI offers as nodes.

python tools/build_blueprints.py            write subgraphs/*.json
python tools/build_blueprints.py --check    only tell whether the files are up to date
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from blueprint_drawing import Face, to_blueprint  # noqa: E402
from build_workflows import GENERATE, REFINE, as_text, version  # noqa: E402
from built_files import main  # noqa: E402
from lite_workflows import CHECKPOINT, GUIDANCES  # noqa: E402
from workflow_drawing import Canvas, DrawnNode  # noqa: E402

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


def lite_edit_chain(canvas: Canvas) -> Face:
    """Ming-Lite-Uni Edit chain"""
    loader = canvas.add("LoadModel", (0, 0), checkpoint=CHECKPOINT)
    steps: list[DrawnNode] = []
    for number, instruction in enumerate(CHAIN, start=1):
        before = {"image": steps[-1]["image"]} if steps else {}
        step = canvas.add(
            "MingLiteUni_Edit",
            (number, 0),
            f"Edit {number}",
            model=loader["model"],
            instruction=instruction,
            **before,
        )
        steps.append(step)
    instructions = {f"instruction {n}": [(s, "instruction")] for n, s in enumerate(steps, start=1)}
    return Face(
        inputs={
            "image": [(steps[0], "image")],
            **instructions,
            "seed": [(step, "seed") for step in steps],
            "steps": [(step, "steps") for step in steps],
            "checkpoint": [(loader, "checkpoint")],
        },
        outputs={
            **{f"image {n}": (step, "image") for n, step in enumerate(steps, start=1)},
            "model": (loader, "model"),
        },
        description="Edits a picture three times with Ming-Lite-Uni, from picture to picture.",
        aliases=["image edit", "lite uni", "instruction edit"],
    )


def lite_sweep(canvas: Canvas) -> Face:
    """Ming-Lite-Uni Guidance sweep"""
    loader = canvas.add("LoadModel", (0, 0), checkpoint=CHECKPOINT)
    encoded = canvas.add("MingLiteUni_EncodePrompt", (1, 0), model=loader["model"])
    drawn = [
        canvas.add(
            "MingLiteUni_Sample",
            (column, 0),
            f"Guidance {guidance:g}",
            model=loader["model"],
            condition=encoded["condition"],
            guidance=guidance,
        )
        for column, guidance in enumerate(GUIDANCES, start=2)
    ]
    return Face(
        inputs={
            "image": [(encoded, "image")],
            "prompt": [(encoded, "prompt")],
            **{f"guidance {n}": [(each, "guidance")] for n, each in enumerate(drawn, start=1)},
            "seed": [(each, "seed") for each in drawn],
            "images": [(each, "images") for each in drawn],
            "steps": [(each, "steps") for each in drawn],
            "checkpoint": [(loader, "checkpoint")],
        },
        outputs={
            **{f"image {n}": (each, "image") for n, each in enumerate(drawn, start=1)},
            "condition": (encoded, "condition"),
            "model": (loader, "model"),
        },
        description="Reads a prompt once with Ming-Lite-Uni, and a picture to edit if there is "
        "one; draws it under three guidance scales.",
        aliases=["lite uni", "cfg sweep", "compare guidance"],
    )


DESCRIPTIONS: tuple[Callable[[Canvas], Face], ...] = (
    generate,
    edit_chain,
    super_resolution,
    lite_edit_chain,
    lite_sweep,
)


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


if __name__ == "__main__":
    sys.exit(main(__doc__, lambda host: build(host.definitions()), FOLDER.glob("*.json")))
