"""Workflows around the pictures: a list of prompts, the download, and two apps without a graph."""

from collections.abc import Callable

from lite_workflows import PICTURE_NOTE, save
from workflow_drawing import Canvas

from ming_core import GENERATE_PREFIX

SHAPES, TWO = "ming_shapes.png", "ming_two_circles.png"
PROMPTS = (
    "a large red circle in the centre on a blue background.",
    "a large green square in the centre on a white background.",
    "# a line with # in front is passed over",
    "a large yellow star in the centre on a black background.",
)
APP_NOTE = (
    "It opens as an **app** on ComfyUI 0.33 and newer: the fields and the results, without the "
    "graph. Older ones show the graph.\n"
)


def list_of_prompts(canvas: Canvas) -> None:
    """15 A list of prompts"""
    canvas.note = (
        "## A list of prompts\n"
        "**Prompt List** gives one prompt, seed and name per line; everything behind it runs once "
        "for each. Choose a .txt, .csv or .tsv from the input folder for a longer list.\n\n"
        "**Save Image with Context** names the pictures as the list does and writes the "
        "conversation, the seed and the settings into each. It gives its pictures on, so that more "
        "can be done with what was saved.\n\n"
        "The first error ends the run; *ming batch* goes on and can be resumed.\n"
    )
    model = canvas.add("LoadModel", (0, 0))["model"]
    prompts = "\n".join(p if p.startswith("#") else GENERATE_PREFIX + p for p in PROMPTS)
    rows = canvas.add("PromptList", (0, 1), prompts=prompts, seed=40)
    drawn = canvas.add("Generate", (1, 0), model=model, prompt=rows["prompt"], seed=rows["seed"])
    image = canvas.add("PixelDecode", (2, 0), model=model, features=drawn["features"])
    saved = canvas.add(
        "MingUniVision_SaveImage",
        (3, 0),
        images=image["image"],
        context=drawn["context"],
        filename_prefix=rows["name"],
        model=model,
    )
    canvas.add("PreviewImage", (4, 0), "What was saved", images=saved["images"])


def download(canvas: Canvas) -> None:
    """16 Download the model"""
    canvas.note = (
        "## Download the model\n"
        "As it is, this only tells: which files the published model has, how large they are, under "
        "which licence, and where they would go. Nothing is downloaded before **confirm** is "
        "on.\n\n"
        "A download that was stopped goes on where it was. Press **R** afterwards, and *Load "
        "MingUniVision* offers the model.\n"
    )
    told = canvas.add("Download", (0, 0))
    canvas.add("PreviewAny", (1, 0), "What there is", source=told["report"])


def draw_and_edit(canvas: Canvas) -> None:
    """17 App, draw and edit"""
    canvas.note = (
        "## Draw and edit\n"
        "Say what to draw, and what to change in it: both pictures come back. Another instruction "
        "keeps the first picture; another **seed** draws a new one.\n\n" + APP_NOTE
    )
    model = canvas.add("LoadModel", (0, 0))["model"]
    prompt = f"{GENERATE_PREFIX}A large green square in the centre on a white background."
    drawn = canvas.add("Generate", (1, 0), "Draw", model=model, prompt=prompt, seed=12)
    first = canvas.add("PixelDecode", (2, 0), model=model, features=drawn["features"])
    edit = canvas.add(
        "EditStep",
        (1, 1),
        "Change",
        model=model,
        context=drawn["context"],
        instruction="Change the colour of the square to purple.",
        seed=103,
    )
    second = canvas.add("PixelDecode", (2, 1), model=model, features=edit["features"])
    pictures = [
        canvas.add(
            "SaveImage", (3, row), title, images=image["image"], filename_prefix=f"ming/17_{name}"
        )
        for row, title, image, name in (
            (0, "The picture", first, "picture"),
            (1, "The picture, changed", second, "changed"),
        )
    ]
    asked = [(drawn, "prompt"), (edit, "instruction"), (drawn, "seed"), (drawn, "steps")]
    canvas.as_app(asked, pictures)


def ask_about_a_photograph(canvas: Canvas) -> None:
    """18 App, ask about a photograph"""
    canvas.note = (
        "## Ask about a photograph\n"
        "Choose a picture, ask about it, read the answer. The picture that is chosen here ships "
        "with the pack in **workflows/input**: copy it into ComfyUI's input folder, or take one of "
        "your own.\n\n" + APP_NOTE
    )
    model = canvas.add("LoadModel", (0, 0))["model"]
    loaded = canvas.add("LoadImage", (0, 1), "Photograph", image=SHAPES)
    image = {"image": loaded["IMAGE"], "use": "understand"}
    latents = canvas.add("EncodeImage", (1, 1), model=model, **image)
    seen = canvas.add("SemanticExpand", (1, 2), model=model, latents=latents["latents"])
    words = {"question": "What colour is the circle?", "max_tokens": 256}
    ask = canvas.add("Describe", (2, 0), "Ask", model=model, features=seen["features"], **words)
    canvas.add("PreviewAny", (3, 0), "Answer", source=ask["text"])
    # An app shows files alone (ComfyUI's frontend 1.49.6), so the answer is read on the sheet.
    sheet = canvas.add("ContextTimeline", (3, 1), context=ask["context"], model=model)
    canvas.as_app([(loaded, "image"), (ask, "question")], [sheet])


def edit_where_a_mask_says(canvas: Canvas) -> None:
    """19 Edit where a mask says"""
    canvas.note = (
        "## Edit where a mask says\n"
        "Two red circles, and words that fit both: the **mask** says which is meant. Paint your "
        "own with *Open in MaskEditor* on the loaded picture. The model is shown the picture with "
        "the mask over it, and patches that the mask does not touch stay as they are.\n\n"
        "The picture is wide: **fit** on *pad* encodes all of it, and **size** on *as given* takes "
        "the result back to its shape.\n\n" + PICTURE_NOTE.format(TWO)
    )
    model = canvas.add("LoadModel", (0, 0))["model"]
    loaded = canvas.add("LoadImage", (0, 1), image=TWO)
    image = {"image": loaded["IMAGE"], "fit": "pad"}
    latents = canvas.add("EncodeImage", (1, 1), model=model, **image)
    seen = canvas.add("SemanticExpand", (1, 2), model=model, latents=latents["latents"])
    step = canvas.add(
        "EditStep",
        (2, 0),
        model=model,
        features=seen["features"],
        mask=loaded["MASK"],
        instruction="Change the colour of the circle to blue.",
        seed=101,
    )
    for row, group, output, name in (
        (0, "What it made", "features", "edited"),
        (1, "What it was shown", "region_features", "marked"),
    ):
        image = canvas.add(
            "PixelDecode", (3, row), model=model, features=step[output], size="as given"
        )
        canvas.group(group, image, canvas.add("SaveImage", (4, row), **save(image, f"19_{name}")))
    canvas.group("The picture", loaded, latents, seen)


EVERYDAY: tuple[Callable[[Canvas], None], ...] = (
    list_of_prompts,
    download,
    draw_and_edit,
    ask_about_a_photograph,
    edit_where_a_mask_says,
)
