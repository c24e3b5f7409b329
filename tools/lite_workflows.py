"""The shipped workflows of the second family, and the words and pictures both families share."""

from collections.abc import Callable
from typing import Any

from workflow_drawing import Canvas, DrawnNode, Output

SHAPES = "ming_shapes.png"
GENERATE = "Please generate the corresponding image based on the description. "
CHECKPOINT = "auto: Ming-Lite-Uni"
EDITS = (
    "Change the colour of the circle to blue.",
    "Remove the square.",
    "Change the background to yellow.",
)
GUIDANCES = (2.0, 5.0, 8.0)  # of the sweep; the middle one is published
PICTURE_NOTE = (
    "The picture **{0}** ships with the pack in **workflows/input**: copy it into ComfyUI's input "
    "folder, or choose a picture of your own in *Load Image*. It shows plain shapes, so that a "
    "look tells whether an edit did what was asked.\n"
)
WEIGHTS_NOTE = (
    "Needs a **Ming-Lite-Uni** folder in **models/ming_univision**; the pack brings none. "
    "*Download Ming-UniVision* says how large it is.\n"
)
NO_MEMORY_NOTE = (
    "Ming-Lite-Uni has **no latent context**: each edit reads the picture it is given and nothing "
    "that came before.\n"
)


def text_to_image(canvas: Canvas) -> None:
    """09 Lite-Uni text to image"""
    canvas.note = (
        "## Text to image with Ming-Lite-Uni\n"
        "Write what you want to see into **Generate (Lite-Uni)** and press **Run**.\n\n"
        "**size_mode** *binned* draws in the nearest size the model was trained on and fits the "
        "result to width and height; *exact* draws in just that size, in multiples of 32.\n\n"
        + WEIGHTS_NOTE
    )
    prompt = "A lighthouse on a cliff at dusk, seen from the sea."
    image = canvas.add("MingLiteUni_Generate", (1, 0), model=_model(canvas), prompt=prompt, seed=7)
    canvas.add("SaveImage", (2, 0), **save(image, "09_lite_text_to_image"))


def edit(canvas: Canvas) -> None:
    """10 Lite-Uni edit a photograph"""
    canvas.note = (
        "## Edit a photograph with Ming-Lite-Uni\n"
        "Choose a photograph in *Load Image* and write into **Edit (Lite-Uni)** what to change. "
        "The result has the shape of the photograph (**size_mode** *like input*).\n\n"
        + NO_MEMORY_NOTE
        + "\n"
        + PICTURE_NOTE.format(SHAPES)
        + "\n"
        + WEIGHTS_NOTE
    )
    photo = canvas.add("LoadImage", (0, 1), image=SHAPES)
    edited = _edit(canvas, _model(canvas), (1, 0), None, photo["IMAGE"], EDITS[0])
    canvas.add("SaveImage", (2, 0), **save(edited, "10_lite_edited"))


def edit_chain(canvas: Canvas) -> None:
    """11 Lite-Uni chain of three edits"""
    canvas.note = (
        "## A chain of edits with Ming-Lite-Uni\n"
        "Three instructions, one after the other, from **image** to **image**. Change the third "
        "and run again: only the third is computed.\n\n" + NO_MEMORY_NOTE + "What a step does not "
        "keep is lost for those behind it. Workflow 03 does the same with Ming-UniVision, which "
        "goes on from what it remembers.\n\n" + PICTURE_NOTE.format(SHAPES) + "\n" + WEIGHTS_NOTE
    )
    model = _model(canvas)
    image = canvas.add("LoadImage", (0, 1), image=SHAPES)["IMAGE"]
    for number, instruction in enumerate(EDITS, start=1):
        step = _edit(canvas, model, (number, 0), f"Edit {number}", image, instruction)
        shown = canvas.add("SaveImage", (number, 1), **save(step, f"11_lite_edit_{number}"))
        canvas.group(f"Step {number}", step, shown)
        image = step["image"]


def describe_and_ask(canvas: Canvas) -> None:
    """12 Lite-Uni describe and ask"""
    canvas.note = (
        "## Describe and ask with Ming-Lite-Uni\n"
        "The first **Describe** gets the picture; the second only the **dialogue**, so its "
        "question may refer to the first answer. It reads picture and words again.\n\n"
        + PICTURE_NOTE.format(SHAPES)
        + "\n"
        + WEIGHTS_NOTE
    )
    model = _model(canvas)
    photo = canvas.add("LoadImage", (0, 1), image=SHAPES)
    first = canvas.add(
        "Describe", (1, 0), "First question", model=model, image=photo["IMAGE"], max_tokens=256
    )
    second = canvas.add(
        "Describe",
        (2, 0),
        "Second question",
        model=model,
        dialogue=first["dialogue"],
        question="What colour is the circle?",
        max_tokens=128,
    )
    canvas.add("PreviewAny", (1, 1), "First answer", source=first["text"])
    canvas.add("PreviewAny", (2, 1), "Second answer", source=second["text"])


def both_families(canvas: Canvas) -> None:
    """13 One prompt, two families"""
    canvas.note = (
        "## One prompt, two families\n"
        "**Prompt List** gives the same words and the same seed to **AR Generate** of "
        "Ming-UniVision, which draws token by token, and to **Generate (Lite-Uni)**, which draws "
        "by diffusion. Put several prompts there, one a line, to compare more.\n\n"
        "The opening sentence is the one Ming-UniVision was trained with. The seed gives each "
        "family its own noise: equal seeds do not make the pictures alike.\n\n" + WEIGHTS_NOTE
    )
    prompt = f"{GENERATE}A large red circle in the centre on a blue background."
    listed = canvas.add("PromptList", (0, 0), prompts=prompt, seed=7)
    said: dict[str, Any] = {"prompt": listed["prompt"], "seed": listed["seed"]}
    first = canvas.add("LoadModel", (1, 0), "Ming-UniVision")["model"]
    drawn = canvas.add("Generate", (2, 0), model=first, **said)
    pixels = canvas.add("PixelDecode", (3, 0), model=first, features=drawn["features"])
    left = canvas.add("SaveImage", (4, 0), "Ming-UniVision", **save(pixels, "13_univision"))
    second = canvas.add("LoadModel", (1, 1), "Ming-Lite-Uni", checkpoint=CHECKPOINT)["model"]
    image = canvas.add("MingLiteUni_Generate", (2, 1), model=second, **said)
    right = canvas.add("SaveImage", (4, 1), "Ming-Lite-Uni", **save(image, "13_lite_uni"))
    canvas.group("Token by token", drawn, pixels, left)
    canvas.group("By diffusion", image, right)


def sweep(canvas: Canvas) -> None:
    """14 Lite-Uni seed and guidance sweep"""
    canvas.note = (
        "## A sweep that encodes once\n"
        "**Encode Prompt (Lite-Uni)** reads the prompt once. Each **Sample (Lite-Uni)** draws two "
        "seeds with another guidance. Change a seed, a guidance or the steps and run again: the "
        "language model stays out of it.\n\n" + WEIGHTS_NOTE
    )
    model = _model(canvas)
    prompt = "A lighthouse on a cliff at dusk, seen from the sea."
    encoded = canvas.add("MingLiteUni_EncodePrompt", (1, 0), model=model, prompt=prompt)
    for column, guidance in enumerate(GUIDANCES, start=2):
        drawn = canvas.add(
            "MingLiteUni_Sample",
            (column, 0),
            f"Guidance {guidance:g}",
            model=model,
            condition=encoded["condition"],
            seed=7,
            images=2,
            guidance=guidance,
        )
        canvas.add("SaveImage", (column, 1), **save(drawn, f"14_guidance_{guidance:g}"))


LITE_DESCRIPTIONS: tuple[Callable[[Canvas], None], ...] = (
    text_to_image,
    edit,
    edit_chain,
    describe_and_ask,
    both_families,
    sweep,
)


def save(image: DrawnNode, name: str) -> dict[str, Any]:
    """Return the inputs of Save Image for a node's picture."""
    return {"images": image["image"], "filename_prefix": f"ming/{name}"}


def _model(canvas: Canvas) -> Output:
    return canvas.add("LoadModel", (0, 0), checkpoint=CHECKPOINT)["model"]


def _edit(
    canvas: Canvas,
    model: Output,
    at: tuple[int, int],
    title: str | None,
    image: Output,
    instruction: str,
) -> DrawnNode:
    return canvas.add(
        "MingLiteUni_Edit", at, title, model=model, image=image, instruction=instruction, seed=100
    )
