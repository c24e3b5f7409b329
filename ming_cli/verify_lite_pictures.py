"""The diffusion half of `ming verify` for Ming-Lite-Uni: from a condition to a picture's bytes."""

import re
from typing import Any

import torch
from torch import Tensor

from ming_core.lite_uni.condition import Condition
from ming_core.lite_uni.generation import sample
from ming_core.lite_uni.sampler import DiffusionSampling, seeded_noise
from ming_core.lite_uni.sizes import nearest_size

from .lite_recorded import Recorded, collecting, condition_of, refuse_unknown, taken

SHARE_OF_BYTES = 1e-3  # of a picture that may be one step off


def check_velocities(recorded: Recorded) -> None:
    """Compare schedules, single velocities and the decoder by itself."""
    report, model = recorded.report, recorded.model
    tensors, manifest = recorded.tensors("diffusion"), recorded.manifest
    network = model.parts.diffusion_transformer
    condition = condition_of(recorded, manifest["generate"]["t2i"])
    rows = (condition.unconditional, condition.of_scale(None))
    memories = [network.read(row) for row in rows]
    for name in sorted(tensors):
        if name.startswith("sigmas_"):
            ours = model.config.schedule.sigmas(int(name.removeprefix("sigmas_")))
            report.close("schedule", name, ours, tensors[name])
        elif re.fullmatch(r"velocity_\d+\.v", name):
            x, t = (tensors[name.replace(".v", what)] for what in (".x", ".t"))
            ours = network(x[0], network.moments(t[None], x.dtype).at(0), memories)
            report.close("velocity", name, ours, tensors[name])
    ours = model.parts.autoencoder(tensors["vae.latent"])
    report.close("decoder", "vae.decoded", ours, tensors["vae.decoded"])
    report.close(
        "decoder",
        "scaling",
        torch.tensor([model.config.autoencoder.scaling_factor]),
        torch.tensor([manifest["vae_scaling_factor"]]),
    )
    for seed, first in manifest["seeds"].items():
        noise = seeded_noise(int(seed), (model.config.diffusion.channels, 16, 16))
        report.equal("noise", seed, noise.flatten()[: len(first)].tolist(), first)


def check_pictures(recorded: Recorded) -> None:
    """Compare whole pictures from prompt to bytes, with every latent on the way."""
    tensors = recorded.tensors("diffusion")
    for name, case in recorded.manifest["generate"].items():
        if case["rope"] == "fp32":
            theirs = taken(tensors, name)
            check_picture(recorded, name, case, theirs)
            refuse_unknown(recorded, theirs)
    known = re.compile(r"sigmas_\d+|velocity_\d+\.[xtv]|vae\.(latent|decoded)")
    refuse_unknown(recorded, {name: t for name, t in tensors.items() if not known.fullmatch(name)})


def check_picture(
    recorded: Recorded, name: str, case: dict[str, Any], theirs: dict[str, Tensor]
) -> None:
    """Compare one case."""
    report, model = recorded.report, recorded.model
    condition = condition_of(recorded, case)
    rows = condition.of_scale(None)[:: case["cond_rows_every"]]
    report.close("condition", name, rows, theirs.pop("cond"))
    if "uncond_row" in theirs:
        ours = condition.unconditional
        report.close("condition", f"{name}.uncond_row", ours, theirs.pop("uncond_row"))
    request = (case["height"], case["width"])
    drawn = nearest_size(request, model.config.diffusion.sample_size)
    report.equal("sizes", f"{name}.bin", list(reversed(drawn)), case["bin_wh"])
    sigmas = model.config.schedule.sigmas(case["steps"])
    report.close("schedule", f"{name}.sigmas", sigmas, theirs.pop("sigmas"))
    ours = model.config.schedule.timesteps(sigmas)
    report.close("schedule", f"{name}.timesteps", ours, theirs.pop("timesteps"))
    image, latents = drawn_from(recorded, case, condition)
    report.equal("noise", name, latents[:1].tolist(), theirs.pop("noise").tolist())
    # The recorded latent is decoded, for the decoder magnifies what rounding there is in ours.
    points = model.parts.autoencoder(theirs["latents"][-1:])[0][grid_of(case["decoded"])]
    report.close("latents", name, latents[1:], theirs.pop("latents"))
    report.close("decoder", f"{name}.decoded", points, theirs.pop("decoded"))
    for scale in model.config.glue.scales:
        if f"preview_{scale}_latent" in theirs:
            _, latents = drawn_from(recorded, case, condition, scale)
            preview = theirs.pop(f"preview_{scale}_latent")
            report.close("latents", f"{name}.preview_{scale}", latents[-1:], preview)
    bytes_ = recorded.image(f"image_{name}.png")
    report.equal("sizes", f"{name}.final", list(image.shape[2:0:-1]), case["final_wh"])
    report.record("pictures", name, bytes_error(image, bytes_))


def grid_of(words: str) -> tuple[slice, ...]:
    """Read which points of the raw pixels (3, H, W) were kept, as in "[:, 3::16, 5::16] of"."""
    starts = re.findall(r"(\d+)::(\d+)", words)
    return (slice(None), *(slice(int(start), None, int(step)) for start, step in starts))


def drawn_from(
    recorded: Recorded, case: dict[str, Any], condition: Condition, scale: int | None = None
) -> tuple[Tensor, Tensor]:
    """Draw a case: the host image, and the latents from the noise on."""
    parts = recorded.model.parts
    with (
        collecting(parts.diffusion_transformer) as steps,
        collecting(parts.autoencoder) as decodings,
    ):
        image = sample(
            recorded.model,
            condition,
            seeds=[case["seed"]],
            size=(case["height"], case["width"]),
            sampling=DiffusionSampling(steps=case["steps"], guidance=case["cfg"]),
            scale=scale,
        )
    ((last, _),) = decodings
    return image, torch.stack([*(x for x, _ in steps), last[0]])


def bytes_error(image: Tensor, recorded: Tensor) -> float:
    """Return 0 for pictures (1, H, W, 3) that agree but for a step in a few bytes."""
    if image.shape != recorded.shape:
        return float("inf")
    steps = ((image * 255).round() - (recorded * 255).round()).abs()
    agrees = steps.max() <= 1 and (steps > 0).float().mean() <= SHARE_OF_BYTES
    return 0.0 if agrees else float("inf")
