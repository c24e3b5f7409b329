"""`ming verify` for Ming-Lite-Uni: every number of a folder of recorded ones, held against ours.

Whatever the folder records is compared; a file or a tensor that nothing here knows is an error.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ming_core import TextSampling, load_model
from ming_core.lite_uni.folders import NAME
from ming_core.lite_uni.generation import describe
from ming_core.lite_uni.model import LiteUniModel
from ming_core.lite_uni.preprocessing import Patches
from ming_core.lite_uni.sequence import IMAGE, IMAGE_END, MARKUP, MEDIA, PATCH, TURN_END, Prompt
from ming_core.lite_uni.vision import Windows

from .comparison import Report
from .lite_recorded import Recorded, collecting, condition_of, refuse_unknown, taken
from .verify_lite_pictures import check_pictures, check_velocities, drawn_from

__all__ = ["CHECKS", "NAME", "verify"]

BLOCK_ROWS_EVERY = 7
FINAL_ROWS_EVERY = 13  # of what was recorded with rounded rotary tables
SPECIAL = {
    "image_patch": PATCH,
    "image_start": IMAGE,
    "image_end": IMAGE_END,
    "frame_patch": MEDIA[-1],
    "item": MARKUP[0],
    "eos": TURN_END,
}


def verify(folder: Path, checks: Sequence[str] = ()) -> Report:
    """Compare the engine with every recorded number of a folder.

    checks  names some of CHECKS; none of them are all
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    recorded = Recorded(folder, manifest, load_model(folder), Report())
    with torch.inference_mode():
        for check in checks or CHECKS:
            CHECKS[check](recorded)
    return recorded.report


def check_preprocessing(recorded: Recorded) -> None:
    """Compare patches of pictures, and what the vision tower and its projection make of them."""
    report, vision = recorded.report, recorded.model.parts.vision
    pixel_values, features = recorded.tensors("preprocess"), recorded.tensors("vision")
    for name, case in recorded.manifest["preprocess"].items():
        patches = recorded.patches(recorded.image(case["file"]), case["max_pixels"])
        rows = slice(None, None, case["vision_rows_every"])
        report.equal(
            "preprocessing", f"{name}.grid", [1, patches.rows, patches.columns], case["grid_thw"]
        )
        ours = patches.values[:: case["pixel_values_rows_every"]]
        report.close("preprocessing", name, ours, pixel_values.pop(f"{name}.pixel_values"))
        with collecting(vision.tower) as towers:
            projected = recorded.model.see(patches)
        report.close("vision", f"{name}.vit", towers[0][1][rows], features.pop(f"{name}.vit"))
        theirs = features.pop(f"{name}.linear_proj_normalised")
        report.close("vision", f"{name}.linear_proj_normalised", projected[rows], theirs)
        for index, block in enumerate(vision.tower.blocks):
            if f"{name}.block_{index}" in features:
                with collecting(block) as blocks:
                    vision.tower(patches)
                ours = present(recorded.model, patches, blocks[0][1])[::BLOCK_ROWS_EVERY]
                theirs = features.pop(f"{name}.block_{index}")
                report.close("vision", f"{name}.block_{index}", ours, theirs)
    refuse_unknown(recorded, pixel_values, features)


def present(model: LiteUniModel, patches: Patches, windows: Tensor) -> Tensor:
    """Drop the padding of windows (W, T, D), or of them in a row (1, W * T, D)."""
    vision = model.config.vision
    rows, columns = patches.rows // vision.merge, patches.columns // vision.merge
    whole = torch.ones(rows, columns, vision.merge**2, dtype=torch.bool)
    is_present = Windows(rows, columns, vision.window).split(whole)
    return windows.reshape(-1, windows.shape[-1])[is_present.flatten()]


def check_words(recorded: Recorded) -> None:
    """Compare ids of prompts, those of special tokens, and how many there are."""
    report, tokenizer = recorded.report, recorded.model.tokenizer
    scales = recorded.model.config.glue.scales
    cases = json.loads((recorded.folder / "ids_io.json").read_text(encoding="utf-8"))
    for number, case in enumerate(cases):
        prompt = recorded.prompt(case["prompt"], case["image_grid_thw"], scales)
        start = prompt.queries[scales[0]].start
        report.equal("ids", f"{number}.generate", list(prompt.ids[:start]), case["generate"])
        report.equal("ids", f"{number}.p0", [start - 1], [case["p0"]])
        words = recorded.prompt(case["prompt"], case["image_grid_thw"])
        report.equal("ids", f"{number}.describe", list(words.ids), case["describe"])
    special = recorded.manifest["special"]
    for name, token in SPECIAL.items():
        report.equal("ids", name, [tokenizer.ids[token]], [special[name]])
    report.equal("ids", "length", [tokenizer.max_id + 1], [special["tokenizer_length"]])


def check_conditions(recorded: Recorded) -> None:
    """Compare the language model's and the connector's states, and the conditions made of them."""
    report, model = recorded.report, recorded.model
    tensors = recorded.tensors("language_model")
    for name, case in recorded.manifest["generate"].items():
        if f"{name}.c_16" not in tensors:
            continue
        theirs = taken(tensors, name)
        prompt = recorded.prompt(case["prompt"], case["image_grid_thw"], model.config.glue.scales)
        if "ids" in theirs:
            report.equal("ids", f"{name}.ids", list(prompt.ids), theirs.pop("ids").tolist())
            positions = theirs.pop("position_ids")[:, 0].tolist()
            report.equal("positions", name, prompt.positions.tolist(), positions)
        for what, ours in states(recorded, case, prompt, theirs.pop("rows", None)).items():
            if what in theirs:
                report.close("language model", f"{name}.{what}", ours, theirs.pop(what))
        refuse_unknown(recorded, theirs)
    refuse_unknown(recorded, tensors)


def states(
    recorded: Recorded, case: dict[str, Any], prompt: Prompt, rows: Tensor | None
) -> dict[str, Tensor]:
    """Compute every state on the way to a condition, by the name it is recorded under."""
    model, image = recorded.model, recorded.photo(case)
    decoder, connector = model.parts.language_model.decoder, model.parts.connector
    rows = torch.arange(len(prompt.ids)) if rows is None else rows
    seen = None
    if image is not None:
        seen = model.see(recorded.patches(image, case["min_max_pixels"]))
    embeddings = model.embed(prompt, seen)
    found = {"embeddings": embeddings[0, rows]}
    hooks = [
        layer.register_forward_hook(partial(_keep, found, f"layer_{index}", rows))
        for index, layer in enumerate(decoder.layers)
    ]
    hidden = model.read(embeddings, prompt.positions)
    for hook in hooks:
        hook.remove()
    found["final"] = hidden[0, rows]
    for scale, slots in prompt.queries.items():
        with collecting(connector.proj_in) as entered, collecting(connector.decoder) as left:
            connected = model.connect(hidden[:, slots])[0]
        found[f"proj_in_{scale}"], found[f"connector_{scale}"] = entered[0][1][0], left[0][1][0]
        every = case["c_16_rows_every"] if scale == max(prompt.queries) else 1
        found[f"c_{scale}"] = connected[::every]
    return found


def _keep(
    found: dict[str, Tensor],
    name: str,
    rows: Tensor,
    _module: nn.Module,
    _arguments: object,
    output: Tensor,
) -> None:
    found[name] = output[0, rows]


def check_answers(recorded: Recorded) -> None:
    """Compare answers in words: ids, scores of every step, positions, text."""
    report, model = recorded.report, recorded.model
    tensors = recorded.tensors("describe")
    for name, case in recorded.manifest["describe"].items():
        theirs, image = taken(tensors, name), recorded.photo(case)
        with collecting(model.parts.lm_head) as scores:
            answer = describe(
                model,
                case["prompt"],
                image,
                sampling=TextSampling(max_tokens=case["max_new_tokens"]),
                pixels=recorded.limit(case),
            )
        grid = None
        if image is not None:
            patches = recorded.patches(image, case["min_max_pixels"])
            grid = (1, patches.rows, patches.columns)
        prompt = recorded.prompt(case["prompt"], grid)
        ids = theirs.pop("new_ids").tolist()
        report.equal(
            "answers", f"{name}.prompt_ids", list(prompt.ids), theirs.pop("prompt_ids").tolist()
        )
        report.equal("answers", f"{name}.new_ids", list(answer.ids), ids)
        report.equal("answers", f"{name}.text", [answer.text], [case["text_joint"]])
        report.close(
            "answers", f"{name}.logits", torch.stack([s for _, s in scores]), theirs.pop("logits")
        )
        written = [prompt.following(index) for index in range(len(ids) - 1)]
        ours = torch.cat((prompt.positions, *written), dim=1).tolist()
        report.equal("positions", name, ours, theirs.pop("last_position_ids")[:, 0].tolist())
        refuse_unknown(recorded, theirs)
    refuse_unknown(recorded, tensors)


def check_published_rounding(recorded: Recorded) -> None:
    """Compare what the published code computes once its rotary tables are rounded."""
    report, tensors = recorded.report, recorded.tensors("rope_reference")
    rounded = replace(recorded, model=replace(recorded.model, rope_precision="reference"))
    vision = rounded.model.parts.vision
    for name in [key.removesuffix(".vit") for key in tensors if key.endswith(".vit")]:
        case = recorded.manifest["preprocess"][name]
        patches = recorded.patches(recorded.image(case["file"]), case["max_pixels"])
        with collecting(vision.tower) as towers:
            rounded.model.see(patches)
        report.close("published rounding", f"{name}.vit", towers[0][1], tensors.pop(f"{name}.vit"))
    for name, case in recorded.manifest["generate"].items():
        if case["rope"] != "reference":
            continue
        short = name.removesuffix("_rope_reference")
        theirs, scales = taken(tensors, short), recorded.model.config.glue.scales
        prompt = recorded.prompt(case["prompt"], case["image_grid_thw"], scales)
        every = torch.arange(0, len(prompt.ids), FINAL_ROWS_EVERY)
        ours = states(rounded, case, prompt, every)
        condition = condition_of(rounded, case)
        ours["latent"] = drawn_from(rounded, case, condition)[1][-1:]
        for what in list(theirs):
            report.close("published rounding", f"{short}.{what}", ours[what], theirs.pop(what))
    refuse_unknown(recorded, tensors)


CHECKS = {
    "preprocessing": check_preprocessing,
    "words": check_words,
    "conditions": check_conditions,
    "velocities": check_velocities,
    "pictures": check_pictures,
    "answers": check_answers,
    "published rounding": check_published_rounding,
}
