"""Saved contexts with a wrong header, other tensors or other bytes: read, checked, gone on with."""

import json
from pathlib import Path
from random import Random

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import (
    ImageSampling,
    LatentContext,
    MingError,
    TextSampling,
    describe,
    edit,
    generate,
    load_context,
    load_model,
    save_context,
)

from .checkpoints import Case
from .judging import expect, ours
from .mutators import mutated_json, mutated_safetensors

KEY, TALKED = "ming_context", 0.05  # of the contexts that load are gone on with
NUMBERS = (float("nan"), float("inf"), 1e30, 0.0)


def contexts(folder: Path) -> Case:
    """A conversation of a drawing, an edit and a question."""
    make_tiny(folder)
    model, quick = load_model(folder), ImageSampling(steps=1)
    drawn = generate(model, "a circle", seeds=[1], sampling=quick)[0].context
    edited = edit(model, "bluer", seed=2, sampling=quick, context=drawn).context
    asked = describe(model, "?", sampling=TextSampling(max_tokens=2), context=edited).context
    path = folder / "a.mingctx.safetensors"
    save_context(asked, path)
    # Copies: what is loaded stays in the file, which is written over again and again.
    content, tensors = path.read_bytes(), {n: t.clone() for n, t in load_file(path).items()}
    with safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()[KEY])

    def case(dice: Random) -> None:
        path.write_bytes(_mutated(dice, content, header, tensors))
        with ours(MingError):
            loaded = load_context(path)
            _expect_as_stated(loaded)
            expect(_told(_saved_again(loaded, path)) == _told(loaded), "saved as another")
            loaded.refuse_misfit(model.kv_shape, model.config.mingtok.semantic.width)
            if dice.random() < TALKED and loaded.model_identity == model.identity:
                describe(model, "?", sampling=TextSampling(max_tokens=1), context=loaded)

    return case


def _mutated(
    dice: Random, content: bytes, header: dict[str, object], tensors: dict[str, torch.Tensor]
) -> bytes:
    match dice.randrange(3):
        case 0:
            return mutated_safetensors(dice, content)
        case 1:
            text = mutated_json(dice, header).decode(errors="replace")
            return save(tensors, metadata={KEY: text})
        case _:
            changed = dict(tensors)
            for _ in range(dice.randint(1, 2)):
                name = dice.choice(sorted(tensors))
                changed[name] = _other(dice, tensors[name])
            return save(changed, metadata={KEY: json.dumps(header)})


def _other(dice: Random, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of another shape, kind or content."""
    match dice.randrange(5):
        case 0:
            return tensor.narrow(dice.randrange(tensor.dim()), 0, 1).contiguous()
        case 1:
            return tensor.to(dice.choice((torch.float16, torch.float64, torch.int32, torch.bool)))
        case 2:
            return tensor.repeat_interleave(2, dim=dice.randrange(tensor.dim()))
        case 3:
            changed = tensor.clone()
            changed.view(-1)[dice.randrange(changed.numel())] = dice.choice(NUMBERS)
            return changed
        case _:
            return tensor.transpose(0, 1).contiguous()


def _expect_as_stated(context: LatentContext) -> None:
    """Every stretch has as many tokens as its turn says, and every number is one."""
    counts = [n for turn in context.turns for n in (turn.num_prompt_tokens, turn.num_reply_tokens)]
    for segment, count in zip(context.segments, counts, strict=True):
        expect(segment.keys.shape == segment.values.shape, "keys and values differ")
        expect(segment.keys.shape[2] == count, "a stretch of another length")
    expect(all(bool(t.isfinite().all()) for t in context.tensors()), "not all are numbers")


def _saved_again(context: LatentContext, path: Path) -> LatentContext:
    save_context(context, path)
    return load_context(path)


def _told(context: LatentContext) -> tuple[object, ...]:
    """Return everything a context says, comparably."""
    numbers = [(t.dtype, t.flatten().tolist()) for t in context.tensors()]
    turns = [
        (t.prompt_text, t.reply_text, t.seed, t.image_sampling, t.text_sampling)
        for t in context.turns
    ]
    return context.model_identity, numbers, turns
