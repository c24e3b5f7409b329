"""Training-only linear probes: what every visual token must say about the picture.

Asked of the tokenizer's features they are our stand-in for the published teacher: without them
features hold pixels but no meaning, and the language model learns to see colours only. Asked of the
flow head's conditions they make the language model know what it is about to draw (decision 0021),
what lies in front of something else, too; asked of the token before an answer, what the question or
the instruction is about.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ming_shapes.render import Effect, Rendering, SceneTensors, pack, render
from ming_shapes.scene import ALL_COLOURS, CENTRES, SHAPES, SIDE, SIZES, Scene, Thing

COVERED = 0.05  # share of a patch from which on it belongs to a thing; each of its four does
HEADS = {
    "index": 36,
    "row": 6,
    "column": 6,
    "is_thing": 1,
    "shape": len(SHAPES),
    "colour": len(ALL_COLOURS),
    "outlined": 1,
    "background": len(ALL_COLOURS),
    "offset": 3,
}
# What is known before a patch is drawn; where it lies is no question there.
DRAWING_HEADS = {name: HEADS[name] for name in list(HEADS)[3:]} | {
    "marked": 1,
    "left": 5,
    "meant": 1,
    "has_inner": 1,
    "inner_shape": len(SHAPES),
    "inner_colour": len(ALL_COLOURS),
}
MOST = 4  # things that words may be about
# Of what words are about: how many things, and, where it is one, which.
ABOUT_HEADS = {
    "shape": len(SHAPES),
    "colour": len(ALL_COLOURS),
    "row": len(CENTRES),
    "column": len(CENTRES),
    "size": len(SIZES),
    "outlined": 1,
    "number": MOST + 1,
}
WEIGHTS = {
    "index": 1.0,
    "row": 0.5,
    "column": 0.5,
    "offset": 1.0,
    "background": 0.5,
    "latents": 8.0,
}
# Heads that are asked of some patches alone: those that show a thing, and those where a smaller one
# lies in front of it, which no head of the larger one would ever ask for.
ASKED_OF = {
    **dict.fromkeys(("shape", "colour", "outlined", "offset", "marked"), "is_thing"),
    **dict.fromkeys(("inner_shape", "inner_colour"), "has_inner"),
}


class Probes(nn.Module):
    """One linear layer over features, read as several heads."""

    def __init__(self, width: int, heads: dict[str, int] = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.linear = nn.Linear(width, sum(heads.values()))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, N, D) to (B, N, size) per head."""
        parts = self.linear(features).float().split(list(self.heads.values()), dim=-1)
        return dict(zip(self.heads, parts, strict=True))


def patch_truth(scenes: SceneTensors, rendering: Rendering, side: int) -> dict[str, Tensor]:
    """Return what is true of each of side x side patches: (B, N) or (B, N, 3) per head."""
    batch, device = len(scenes.shape), scenes.shape.device
    size = rendering.coverage.shape[-1] // side
    covered = F.avg_pool2d(rendering.coverage, size).flatten(2).transpose(1, 2)  # (B, N, K)
    most, owner = covered.max(dim=-1)
    # The inner thing is the one that shows less: it is small, what it lies in is large.
    others = covered.scatter(-1, owner[..., None], -1)
    second, inner = others.max(dim=-1)
    index = torch.arange(side * side, device=device).expand(batch, -1)
    row, column = index // side, index % side
    place = scenes.place.gather(1, owner[..., None].expand(-1, -1, 3))
    centres = (torch.stack((column, row), dim=-1) + 0.5) * (SIDE / side)
    offset = torch.cat(((place[..., :2] - centres) / 16, place[..., 2:] / 16), dim=-1)
    begun = (covered > COVERED).cummax(dim=1).values.sum(dim=-1)  # (B, N)
    is_thing = most > COVERED
    has_mark = (scenes.effect == Effect.MARK)[:, None]
    is_marked = has_mark & is_thing & (owner == scenes.marked[:, None])
    return {
        "index": index,
        "row": row * 6 // side,
        "column": column * 6 // side,
        "is_thing": is_thing.float(),
        "shape": scenes.shape.gather(1, owner).clamp(min=0),
        "colour": scenes.colour.gather(1, owner),
        "outlined": scenes.is_outlined.gather(1, owner).float(),
        "background": scenes.background[:, None].expand(-1, side * side),
        "offset": offset,
        "marked": is_marked.float(),
        "has_inner": (second > COVERED).float(),
        "inner_shape": scenes.shape.gather(1, inner).clamp(min=0),
        "inner_colour": scenes.colour.gather(1, inner),
        "left": (begun[:, -1:] - begun).clamp(max=DRAWING_HEADS["left"] - 1),
    }


def meant_truth(things: list[Thing | None], side: int, device: torch.device) -> Tensor:
    """Return which of side x side patches showed the thing meant: (B, N); -1 where none was."""
    scenes = [Scene("white", () if thing is None else (thing,)) for thing in things]
    covered = F.avg_pool2d(render(pack(scenes).to(device)).coverage[:, 0], SIDE // side).flatten(1)
    is_none = torch.tensor([thing is None for thing in things], device=device)
    return torch.where(is_none[:, None], -1.0, (covered > COVERED).float())


def about_loss(said: dict[str, Tensor], about: list[tuple[Thing, ...]]) -> Tensor:
    """Return the sum of all losses of what was said (B, size) per head of ABOUT_HEADS."""
    device = said["number"].device
    numbers = torch.tensor([len(things) for things in about], device=device)
    total = F.cross_entropy(said["number"], numbers)
    ones = [things[0] for things in about if len(things) == 1]
    if not ones:
        return total
    truth = thing_truth(ones, device)
    return total + probe_loss(
        {name: said[name][numbers == 1] for name in truth if name in said}, truth
    )


def thing_truth(things: list[Thing], device: torch.device) -> dict[str, Tensor]:
    """Return what is true of each of B things: (B,) per head of ABOUT_HEADS but their number."""
    rows = {
        "is_thing": [1.0] * len(things),
        "shape": [SHAPES.index(thing.shape) for thing in things],
        "colour": [ALL_COLOURS.index(thing.colour) for thing in things],
        "row": [thing.cell[0] for thing in things],
        "column": [thing.cell[1] for thing in things],
        "size": [list(SIZES).index(thing.size) for thing in things],
        "outlined": [float(thing.is_outlined) for thing in things],
    }
    return {name: torch.tensor(row, device=device) for name, row in rows.items()}


def probe_loss(said: dict[str, Tensor], truth: dict[str, Tensor]) -> Tensor:
    """Return the weighted sum of all heads' losses; heads of things count on covered patches, those
    of inner things where there is one, `meant` where something was."""
    total = torch.zeros((), device=truth["is_thing"].device)
    for name, logits in said.items():
        logits, target = _asked(name, logits, truth)
        is_out_of_range = name == "index" and target.max() >= HEADS["index"]
        if is_out_of_range or not len(target):
            continue
        if name == "offset":
            loss = F.l1_loss(logits, target)
        elif name == "latents":
            loss = F.mse_loss(logits, target)
        elif logits.shape[-1] == 1:
            loss = F.binary_cross_entropy_with_logits(logits[..., 0], target)
        else:
            loss = F.cross_entropy(logits.flatten(0, -2), target.flatten())
        total = total + WEIGHTS.get(name, 1.0) * loss
    return total


@torch.no_grad()
def probe_accuracy(said: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    """Return the share of right answers per head (for `offset` the mean error in patches)."""
    result: dict[str, float] = {}
    for name, logits in said.items():
        logits, target = _asked(name, logits, truth)
        if name == "offset":
            result[name] = float((logits - target).abs().mean())
        elif logits.shape[-1] == 1:
            result[name] = float(((logits[..., 0] > 0) == (target > 0.5)).float().mean())
        else:
            result[name] = float((logits.argmax(-1) == target).float().mean())
    return result


def _asked(name: str, logits: Tensor, truth: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what a head said, and the truth, where it is asked: (B, N, size) or (n, size)."""
    target = truth[name]
    if name == "meant":
        asked = target >= 0
    elif name in ASKED_OF:
        asked = truth[ASKED_OF[name]] > 0
    else:
        return logits, target
    return logits[asked], target[asked]
