"""A short look at a model in training, by the engine that users run: read, copy, draw, edit."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor

from ming_core import (
    Features,
    ImageSampling,
    Latents,
    MingModel,
    TextSampling,
    decode_pixels,
    expand,
    generate,
)
from ming_core import describe as describe_picture
from ming_shapes.evaluation.measures import mean
from ming_shapes.evaluation.verdict import judge_spec
from ming_shapes.questions import conclusion
from ming_shapes.render import pack, render, to_bytes
from ming_shapes.scene import SceneStyle
from ming_shapes.tasks import Conversation, Shown, TaskSampler, ask, copy, describe, draw_one, edit

from .sheets import save_pictures
from .stage import Measures

PICTURES, QUESTIONS = 8, 24
JUDGED = ("background", "count", "shapes", "colours", "places")
SAMPLING = ImageSampling(steps=8, text_guidance=3.0)


def probation(model: MingModel, folder: Path) -> Measures:
    """Measure a model on a few cases; saves sample pictures, the truth above what was drawn."""
    rng = random.Random(4321)
    sampler = lambda: TaskSampler(rng, SceneStyle(0.05, 0.05), most_things=1, chinese=0.2)  # noqa: E731
    result: Measures = {}
    for name, task in (("ask", ask), ("describe", describe)):
        right = 0
        for _ in range(QUESTIONS):
            turn = task(sampler()).turns[0]
            said = answer(model, turn.words, turn.given)
            right += conclusion(said) == conclusion(str(turn.answer))
        result[name] = right / QUESTIONS
    for name, task in (("copy", copy), ("edit", edit)):
        cases = [task(sampler()) for _ in range(PICTURES)]
        truth = torch.cat([pixels_of(case.turns[0].answer) for case in cases])
        drawn = torch.cat([picture(model, case, seed) for seed, case in enumerate(cases)])
        error = ((drawn - truth) / 2).pow(2).flatten(1).mean(1).clamp(min=1e-6)
        result[f"{name}_psnr"] = float((-10 * error.log10()).mean())
        rows = [truth, drawn]
        if cases[0].turns[0].given is not None:
            rows.insert(0, torch.cat([pixels_of(case.turns[0].given) for case in cases]))
        save_pictures(folder / f"{name}.png", rows)
    return result | plain_drawing(model, folder)


def plain_drawing(model: MingModel, folder: Path) -> Measures:
    """Return which shares of pictures of one thing, asked for in plain speech, are right."""
    rng = random.Random(77)
    style = SceneStyle(0.0, 0.0)
    cases = [
        draw_one(TaskSampler(rng, style, chinese=0.0, most_things=1, is_plain=True))
        for _ in range(QUESTIONS)
    ]
    drawn = torch.cat([picture(model, case, seed) for seed, case in enumerate(cases)])
    verdicts = [
        judge_spec(to_bytes(one[None])[0].numpy(), spec)
        for one, case in zip(drawn, cases, strict=True)
        if (spec := case.turns[0].spec) is not None
    ]
    truth = torch.cat([pixels_of(case.turns[0].answer) for case in cases[:PICTURES]])
    save_pictures(folder / "draw.png", [truth, drawn[:PICTURES]])
    shares = {f"draw_{name}": mean([getattr(v, name) for v in verdicts]) for name in JUDGED}
    return {"draw_right": mean([v.everything for v in verdicts])} | shares


def pixels_of(shown: str | Shown | None) -> Tensor:
    """Render what is shown: (1, 3, S, S) in [-1, 1]."""
    if not isinstance(shown, Shown):
        raise TypeError(f"{shown!r} is no picture")
    return render(pack([shown.scene], [shown.effect], shown.marked)).pixels


def features_of(model: MingModel, shown: Shown) -> Features:
    """Encode a rendered picture as the nodes do, but for the resize, which would change nothing."""
    encoder = model.parts.low_level_encoder
    pixels = pixels_of(shown).to(model.device, model.dtype)
    with torch.inference_mode():
        latents = encoder.normalised(encoder(pixels).float())[:, :-1]
    return expand(model, Latents(latents, encoder.grid(pixels)))


def answer(model: MingModel, words: str, given: Shown | None) -> str:
    """Ask about a picture."""
    features = None if given is None else features_of(model, given)
    return describe_picture(model, words, features=features, sampling=TextSampling(60)).text


def picture(model: MingModel, case: Conversation, seed: int) -> Tensor:
    """Draw the first turn's picture: (1, 3, S, S)."""
    turn = case.turns[0]
    features = None if turn.given is None else features_of(model, turn.given)
    reply = generate(model, turn.words, seeds=[seed], sampling=SAMPLING, features=features)[0]
    image = decode_pixels(model, reply.features)  # type: ignore[arg-type]
    return image.permute(0, 3, 1, 2) * 2 - 1
