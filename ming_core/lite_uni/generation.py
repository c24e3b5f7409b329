"""What a node can ask for: encode, sample, generate, edit, describe.

The wire between the parts. Each stage says what it needs before it begins, so that parts come
and go; nothing stays on the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import PromptError
from ..kv_cache import BUCKET, WorkingCache
from ..progress import Progress, ProgressBar
from ..sampling import TextSampling
from ..text_sampler import TextSampler
from .condition import Condition
from .drawing import Drawing
from .memory import connecting_stage, drawing_stage, painting_stage, reading_stage, seeing_stage
from .model import LiteUniModel
from .preprocessing import PIXELS, Patches, to_patches
from .sampler import DiffusionSampling, LatentSampler, seeded_noise
from .sequence import MEDIA, Prompt, conversation, refuse_too_long
from .sizes import PictureSize, Size, SizeMode, picture_size

DESCRIBE_PROMPT = "Describe this image in detail."


@dataclass(frozen=True, slots=True)
class Answer:
    """Words written, and the ids they are made of, with the token that ended them."""

    text: str
    ids: tuple[int, ...]


@torch.inference_mode()
def encode(
    model: LiteUniModel,
    prompt: str,
    image: Tensor | None = None,
    *,
    previews: bool = False,
    pixels: int = PIXELS,
    progress: Progress | ProgressBar | None = None,
) -> Condition:
    """Turn a prompt, and a host image (1, H, W, C) to edit, into a condition.

    previews  keeps the conditions of the coarse scales too; all are read in any case
    pixels    a given picture is scaled to about so many
    """
    config, patches = model.config, _patches(model, image, pixels)
    scales = config.glue.scales
    layout = conversation(model.tokenizer, prompt, _grid(model, patches), scales=scales)
    refuse_too_long(layout, config.language.max_tokens)
    wanted = scales if previews else scales[-1:]
    bar = ProgressBar.of(progress, _encode_steps(model, image, len(wanted)))
    seen = _see(model, patches, bar)
    model.enter(reading_stage(model, len(layout.ids)))
    hidden = model.read(model.embed(layout, seen), layout.positions, callback=bar.update)
    model.enter(connecting_stage(model))
    head = model.parts.connector.head
    tokens = {
        scale: head(model.connect(hidden[:, layout.queries[scale]], bar.update))[0].float().cpu()
        for scale in wanted
    }
    unconditional = head(torch.zeros_like(hidden[0, :1])).float().cpu()
    return Condition(tokens, unconditional, _size_of(image), model.identity)


@torch.inference_mode()
def sample(
    model: LiteUniModel,
    condition: Condition,
    *,
    seeds: Sequence[int],
    size: Size | None = None,
    mode: SizeMode = "binned",
    sampling: DiffusionSampling | None = None,
    scale: int | None = None,
    progress: Progress | ProgressBar | None = None,
) -> Tensor:
    """Draw one picture per seed under a condition: a host image (seeds, H, W, 3) in [0, 1].

    size   (height, width); None is what the model was trained on; not asked in mode "like input"
    scale  of the queries whose condition is used; None is the finest, as published
    """
    if condition.made_by != model.identity:
        raise PromptError(
            f"The condition was made by the model {condition.made_by[:12]}; the connected model is "
            f"{model.identity[:12]}. Encode the prompt with this one."
        )
    sampling, tokens = sampling or DiffusionSampling(), condition.of_scale(scale)
    sizes = _sizes(model, condition.picture, size, mode)
    bar = ProgressBar.of(progress, _sample_steps(model, seeds, sampling))
    model.enter(drawing_stage(model, sizes.drawn))
    drawing = Drawing(model, sizes, len(seeds), bar)
    sampler = LatentSampler(
        model.parts.diffusion_transformer,
        model.config.schedule,
        sampling,
        tokens.to(model.device, model.dtype),
        condition.unconditional.to(model.device, model.dtype),
    )
    for seed in seeds:
        noise = seeded_noise(seed, drawing.latent_shape)
        drawing.latents.append(sampler(noise, drawing.watch, bar.check_cancelled))
    model.enter(painting_stage(model, sizes.drawn))
    return torch.cat([drawing.painted(latent, bar) for latent in drawing.latents])


def generate(
    model: LiteUniModel,
    prompt: str,
    image: Tensor | None = None,
    *,
    seeds: Sequence[int],
    size: Size | None = None,
    mode: SizeMode = "binned",
    sampling: DiffusionSampling | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Encode, then sample: one picture per seed, (seeds, H, W, 3) in [0, 1]."""
    sampling = sampling or DiffusionSampling()
    steps = _encode_steps(model, image) + _sample_steps(model, seeds, sampling)
    bar = ProgressBar(progress, steps)
    _sizes(model, _size_of(image), size, mode)  # what cannot be drawn is not encoded first
    condition = encode(model, prompt, image, progress=bar)
    return sample(
        model, condition, seeds=seeds, size=size, mode=mode, sampling=sampling, progress=bar
    )


def edit(
    model: LiteUniModel,
    image: Tensor,
    instruction: str,
    *,
    seeds: Sequence[int],
    size: Size | None = None,
    mode: SizeMode = "like input",
    sampling: DiffusionSampling | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Draw a host image (1, H, W, C) anew as instructed: one picture per seed, as `generate`."""
    if not instruction.strip():
        raise PromptError("The instruction is empty; write what to change.")
    return generate(
        model,
        instruction,
        image,
        seeds=seeds,
        size=size,
        mode=mode,
        sampling=sampling,
        progress=progress,
    )


@torch.inference_mode()
def describe(
    model: LiteUniModel,
    question: str,
    image: Tensor | None = None,
    *,
    history: Sequence[tuple[str, str]] = (),
    sampling: TextSampling | None = None,
    pixels: int = PIXELS,
    progress: Progress | None = None,
) -> Answer:
    """Answer in words: about a host image (1, H, W, C), or about anything without one.

    history  earlier questions and their answers; the picture belongs to the first question
    """
    sampling, config = sampling or TextSampling(), model.config
    patches = _patches(model, image, pixels)
    layout = conversation(model.tokenizer, question, _grid(model, patches), history)
    refuse_too_long(layout, config.language.max_tokens, sampling.max_tokens)
    layers = config.language.num_layers + _depth(model, image)
    bar = ProgressBar(progress, layers + sampling.max_tokens)
    seen = _see(model, patches, bar)
    model.enter(reading_stage(model, len(layout.ids), sampling.max_tokens))
    cache = WorkingCache(model.kv_shape, 1, len(layout.ids) + min(sampling.max_tokens, BUCKET))
    hidden = model.read(model.embed(layout, seen), layout.positions, cache, bar.update)
    return _write(model, layout, hidden[0, -1], cache, sampling, bar)


def _write(
    model: LiteUniModel,
    layout: Prompt,
    hidden: Tensor,
    cache: WorkingCache,
    sampling: TextSampling,
    bar: ProgressBar,
) -> Answer:
    """Write token after token behind a prompt that is read, until one ends the answer."""
    tokenizer, ids = model.tokenizer, list[int]()
    # Marks of pictures and sounds are no words, and beyond the tokenizer there are none.
    beyond = range(tokenizer.max_id + 1, model.config.language.vocab_size)
    sample = TextSampler(sampling, [*(tokenizer.ids[mark] for mark in MEDIA), *beyond])
    stops = tokenizer.stops | model.config.stops
    while True:
        ids.append(sample(model.parts.lm_head(hidden).float()))
        bar.update()
        bar.writing(lambda: tokenizer.decode(ids))
        if ids[-1] in stops or len(ids) == sampling.max_tokens:
            break
        x = model.embed(Prompt((ids[-1],), layout.following(len(ids) - 1), None, {}))
        hidden = model.read(x, layout.following(len(ids) - 1), cache, bar.check_cancelled)[0, -1]
    bar.skip(sampling.max_tokens - len(ids))
    return Answer(tokenizer.decode(ids), tuple(ids))


def _patches(model: LiteUniModel, image: Tensor | None, pixels: int) -> Patches | None:
    vision = model.config.vision
    if image is None:
        return None
    return to_patches(image, vision.patch_size, vision.merge, vision.num_frames, pixels)


def _grid(model: LiteUniModel, patches: Patches | None) -> tuple[int, int] | None:
    """Return the rows and columns of a picture as the language model reads it."""
    merge = model.config.vision.merge
    return None if patches is None else (patches.rows // merge, patches.columns // merge)


def _encode_steps(model: LiteUniModel, image: Tensor | None, scales: int = 1) -> int:
    """Return the layers that a prompt passes, and a picture with it."""
    config = model.config
    layers = config.language.num_layers + scales * config.connector.num_layers
    return layers + _depth(model, image)


def _sample_steps(model: LiteUniModel, seeds: Sequence[int], sampling: DiffusionSampling) -> int:
    """Return the steps and layers that pictures take; raises PromptError where none is drawn."""
    if not seeds:
        raise PromptError("There are no seeds; a picture is drawn for each.")
    blocks = sum(len(list(stage.children())) for stage in model.parts.autoencoder.up_blocks)
    return len(seeds) * (sampling.steps + blocks)


def _depth(model: LiteUniModel, image: Tensor | None) -> int:
    return 0 if image is None else model.config.vision.depth


def _see(model: LiteUniModel, patches: Patches | None, bar: ProgressBar) -> Tensor | None:
    if patches is None:
        return None
    model.enter(seeing_stage(model, len(patches.values)))
    return model.see(patches, bar.update)


def _size_of(image: Tensor | None) -> Size | None:
    return None if image is None else (image.shape[1], image.shape[2])


def _sizes(
    model: LiteUniModel, picture: Size | None, size: Size | None, mode: SizeMode
) -> PictureSize:
    """Say in what size to draw, and what to make of it; `picture` is the size of a given one."""
    unit, trained = model.config.autoencoder.pixels_per_latent, model.config.diffusion.sample_size
    if mode == "like input":
        if picture is None:
            raise PromptError(
                "There is no picture to take the size from; choose another size mode, or give one "
                "with the prompt."
            )
        size = picture
    elif size is None:
        size = (trained * unit, trained * unit)
    return picture_size(size, mode, trained, unit)
