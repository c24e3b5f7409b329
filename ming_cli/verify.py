"""`ming verify DIR`: hold the engine against every number of a folder of recorded ones.

The folder holds a checkpoint and what the published code computed from it. In picture rounds the
recorded latents are fed back, so that rounding does not grow from token to token.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from ming_core import (
    CheckpointError,
    Features,
    ImageSampling,
    LatentContext,
    MingModel,
    Picture,
    Text,
    load_model,
)
from ming_core.families import family_of
from ming_core.foreign_text import shown
from ming_core.kv_cache import WorkingCache
from ming_core.pixels import ImageUse, to_pixels
from ming_core.places import put
from ming_core.progress import ProgressBar
from ming_core.tensor_files import TensorFiles
from ming_core.univision.drawing import Replay
from ming_core.univision.flow.sampler import LatentSampler
from ming_core.univision.folders import find_checkpoint
from ming_core.univision.guidance import Branch, past_masks, prompt_masks
from ming_core.univision.key_map import expected_tensors
from ming_core.univision.language_model.transformer import Step
from ming_core.univision.prompt import Exchange, Prompt, build_prompt
from ming_core.univision.turn import OpenTurn, Settings, draw_from

from . import verify_lite
from .comparison import LIMIT, Report

# The order in which the recorded rows name the guidance branches.
RECORDED_ROWS = (Branch.FULL, Branch.UNCONDITIONAL, Branch.IMAGE_ONLY)
MASKS = {
    "attention_mask": Branch.FULL,
    "uncond_attention_mask": Branch.UNCONDITIONAL,
    "text_uncond_attention_mask": Branch.IMAGE_ONLY,
}
PAST_MASKS = {
    "past_mask": Branch.FULL,
    "past_uncond": Branch.UNCONDITIONAL,
    "past_text_uncond": Branch.IMAGE_ONLY,
}


def verify(folder: Path) -> Report:
    """Compare the engine with every recorded number of a folder, of whichever family."""
    if family_of(folder).NAME == verify_lite.NAME:
        return verify_lite.verify(folder)
    report, model = Report(), load_model(folder)
    with torch.inference_mode():
        check_mingtok(report, folder)
        check_flow_head(report, folder, model)
        check_language_model(report, folder, model)
        check_conversation(report, folder, model)
        check_preprocessing(report, folder)
        check_sessions(report, folder, model)
    return report


def check_mingtok(report: Report, folder: Path) -> None:
    """Compare the tokenizer's three stages, with the weights of its own folder."""
    recorded, model = load_file(folder / "mingtok_io.safetensors"), load_model(folder)
    use_vision_of(model, find_checkpoint(folder).mingtok)
    encoder, semantic = model.parts.low_level_encoder, model.parts.semantic_decoder
    for suffix in ("", "_2x"):
        if f"pixels{suffix}" not in recorded:
            continue
        pixels = recorded[f"pixels{suffix}"]
        raw = encoder(pixels)
        latents = encoder.normalised(raw)
        features = semantic(semantic.raw(latents[:, :-1]))
        found = {"raw_latent": raw, "latent": latents, "semantic": features}
        found["recon"] = model.parts.pixel_decoder(features, encoder.grid(pixels)).clamp(-1, 1)
        for name, ours in found.items():
            if name + suffix in recorded:
                report.close("mingtok", name + suffix, ours, recorded[name + suffix])
    latents = recorded["latent"][:1, :-1]
    cache = semantic.new_cache(1, latents.shape[1], like=latents)
    raw = semantic.raw(latents)
    steps = [semantic(raw[:, i : i + 1], cache) for i in range(raw.shape[1])]
    report.close("mingtok", "semantic_cached", torch.cat(steps, 1), recorded["semantic_cached"])


def use_vision_of(model: MingModel, mingtok: Path) -> None:
    """Replace a model's tokenizer weights by those of a MingTok folder."""
    places = expected_tensors(model.config, model.parts.named())
    with TensorFiles(mingtok) as files:
        for name, stored in files.tensors.items():
            put(model.parts.named(), places[f"vision.{name}"], files.read(stored))


def check_flow_head(report: Report, folder: Path, model: MingModel) -> None:
    """Compare the velocity network, and whole integrations under every recorded setting."""
    recorded = load_file(folder / "flow_head_io.safetensors")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    network = model.parts.language_model.velocity
    z = recorded["net.c"]
    times = network.time_embed(recorded["net.t"], z.dtype)
    each = [
        network(recorded["net.x"][i], network.modulations(times[i : i + 1], z[i])[0])
        for i in range(len(z))
    ]
    report.close("flow head: velocity", "net.v", torch.stack(each), recorded["net.v"])
    for case in manifest["flow_cases"]:
        z, noise = (recorded[f"{case['name']}.{what}"] for what in ("z", "noise"))
        text, image = case["text_cfg"], case["image_cfg"]
        weights = {1: [1.0], 2: [text, 1 - text], 3: [text, 1 - image, image - text]}[len(z)]
        sampling = ImageSampling(
            steps=model.config.flow.steps,
            temperature=case["temperature"],
            time_shift=case["time_shifting_factor"],
            renorm=case["cfg_renorm_type"] == "channel",
        )
        ours = LatentSampler(network, sampling, weights, like=z)(z[:, None], noise)
        out = recorded[f"{case['name']}.out"]
        report.close("flow head: sampling", case["name"], ours.expand_as(out), out)


def collect_into(outputs: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    """Return a forward hook that keeps what a module gives."""

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs.append(output)

    return keep


def check_language_model(report: Report, folder: Path, model: MingModel) -> None:
    """Compare hidden states of every layer, scores by both routers, and a step with a hole."""
    recorded, group = load_file(folder / "language_model_io.safetensors"), "language model"
    transformer = model.parts.language_model.transformer
    ids = recorded["full.ids"]
    embeddings, count = model.word_embeddings(ids), ids.shape[1]
    hidden: list[Tensor] = [embeddings]
    hooks = [layer.register_forward_hook(collect_into(hidden)) for layer in transformer.layers]
    cache = WorkingCache(model.kv_shape, 1, count + 1)
    positions = torch.arange(count)[None]
    last = transformer(embeddings, cache, Step(positions))
    for hook in hooks:
        hook.remove()
    hidden[-1] = last
    for index, ours in enumerate(hidden):
        report.close(group, f"hidden_{index}", ours, recorded[f"full.hidden_{index}"])
    report.close(group, "hidden_last", last, recorded["full.hidden_last"])
    report.close(group, "logits", transformer.logits(last), recorded["full.logits_text_route"])
    patches = ids == model.tokenizer.image_patch
    routed = transformer(
        embeddings,
        WorkingCache(model.kv_shape, 1, count),
        Step(positions, is_given_image=patches),
    )
    ours = transformer.logits(routed)
    report.close(group, "logits_image_mask", ours, recorded["full.logits_image_mask"])
    step = Step(recorded["hole.position"], seen=recorded["hole.mask"][:, :count].bool())
    ours = transformer(model.word_embeddings(recorded["hole.next_id"]), cache, step)
    report.close(group, "hole", ours, recorded["hole.hidden"])


def check_conversation(report: Report, folder: Path, model: MingModel) -> None:
    """Compare the layout of recorded conversations: token ids, and what each branch sees."""
    cases = json.loads((folder / "conversation_io.json").read_text(encoding="utf-8"))
    for index, case in enumerate(cases):
        grids = iter(case["grids"])
        turns: list[tuple[Picture | Text, ...]] = []
        answers: list[str] = []
        for message in case["messages"]:
            parts = tuple(_part(part, grids) for part in message["content"])
            if message["role"] == "HUMAN":
                turns.append(parts)
            else:
                answers.append("".join(part.text for part in parts if isinstance(part, Text)))
        history = [Exchange(*pair) for pair in zip(turns[:-1], answers, strict=True)]
        prompt = build_prompt(model.tokenizer, turns[-1], history)
        report.equal("conversation", f"{index}.ids", list(prompt.ids), case["input_ids"])
        masks = prompt_masks(prompt.ids, model.tokenizer)
        for name, branch in MASKS.items():
            ours = masks[branch].int().tolist()
            report.equal("conversation", f"{index}.{name}", ours, case[name])


def _part(part: dict[str, str], grids: Iterator[list[int]]) -> Picture | Text:
    if part["type"] == "text":
        return Text(part["text"])
    _, rows, columns = next(grids)
    return Picture(Features(torch.zeros(1, rows * columns, 1), (rows, columns)))


def check_preprocessing(report: Report, folder: Path) -> None:
    """Compare both ways of resizing a given picture."""
    recorded = load_file(folder / "preprocess_io.safetensors")
    for name, pixels in recorded.items():
        named = re.fullmatch(r"(odd_)?(edit|understand)_(\d+)", name)
        if named is None:
            raise CheckpointError(
                f"{shown(name)} in {folder} is no way of resizing that is known here."
            )
        odd, size = named[1], int(named[3])
        use: ImageUse = "edit" if named[2] == "edit" else "understand"
        with Image.open(folder / ("photo_odd.png" if odd else "photo.png")) as photo:
            image = torch.from_numpy(np.asarray(photo.convert("RGB")).copy())[None].float() / 255
        report.close("preprocessing", name, to_pixels(image, use, size)[0], pixels)


def check_sessions(report: Report, folder: Path, model: MingModel) -> None:
    """Replay whole conversations round by round, each context made from the one before."""
    recorded = load_file(folder / "sessions_io.safetensors")
    rounds = sorted({name.partition(".")[0] for name in recorded})
    contexts: dict[str, LatentContext] = {}
    for name in rounds:
        session = name.partition("/")[0]
        tensors = {
            key.partition(".")[2]: tensor
            for key, tensor in recorded.items()
            if key.startswith(f"{name}.")
        }
        before = contexts.get(session, LatentContext(model.identity))
        contexts[session] = SessionRound(report, model, name, tensors).replay(before)


class SessionRound:
    """One recorded round of a conversation."""

    def __init__(
        self, report: Report, model: MingModel, name: str, recorded: dict[str, Tensor]
    ) -> None:
        self.report, self.model, self.name, self.recorded = report, model, name, recorded
        self.group = f"session {name.partition('/')[0]}"

    def replay(self, context: LatentContext) -> LatentContext:
        """Read the recorded prompt after a context, answer as recorded; returns what is left."""
        prompt = Prompt((), tuple(self.recorded["input_ids"][0].tolist()), self._pictures())
        masks = prompt_masks(prompt.ids, self.model.tokenizer)
        for name, branch in MASKS.items():
            self._equal(name, masks[branch].int(), self.recorded[name][0])
        turn = OpenTurn(self.model, context, prompt, ProgressBar())
        scores = [turn.logits()]
        answer = self.recorded["new_ids"][0, len(prompt.ids) :].tolist()
        for token in answer[:-1]:
            if token == self.model.tokenizer.image and len(self.recorded["noise"]):
                turn = self._draw(turn)
            else:
                turn.decode_step(token)
            scores.append(turn.logits())
        self._close("step_logits", torch.stack(scores)[None], self.recorded["step_logits"])
        if not len(self.recorded["noise"]):
            self._equal("greedy ids", torch.stack(scores).argmax(dim=-1), torch.tensor(answer))
        return self._check_context(turn.close((), Settings(seed=0)))

    def _pictures(self) -> tuple[Features, ...]:
        if "pixel_values" not in self.recorded:
            return ()
        encoder, pixels = self.model.parts.low_level_encoder, self.recorded["pixel_values"]
        features = self.model.expand(encoder.normalised(encoder(pixels))[:, :-1])
        return tuple(Features(features, encoder.grid(pixels)).images())

    def _draw(self, turn: OpenTurn) -> OpenTurn:
        """Draw with the recorded noise, feeding the recorded latents back; the turn goes on."""
        noise, latents = self.recorded["noise"][:, None], self.recorded["latents"]
        language = self.model.parts.language_model
        conditions: list[Tensor] = []
        hook = language.condition_head.register_forward_hook(collect_into(conditions))
        sampling = ImageSampling(steps=self.model.config.flow.steps)
        rows = turn.guidance(sampling)
        (drawing,) = draw_from([turn], noise[:-1], sampling, replay=Replay.whole(latents[:-1]))
        after = language.condition_head(drawing.hidden)  # of the sample the published code drops
        hook.remove()
        order = [list(rows).index(branch) for branch in RECORDED_ROWS if branch in rows]
        self._close("z_first", conditions[0][order], self.recorded["z_first"])
        self._close("z_last", after[order], self.recorded["z_last"])
        sample = LatentSampler(language.velocity, sampling, list(rows.values()), like=after)
        dropped = sample(after, noise[-1])
        ours = torch.cat((drawing.latents[0], dropped))
        self._close("latents", ours, latents)
        self._close("semantic", drawing.features, self.recorded["semantic"])
        grid = self.model.config.language.image_grid
        image = self.model.parts.pixel_decoder(drawing.features, grid).clamp(-1, 1)
        self._close("image", image, self.recorded["image"])
        return turn.after(drawing)

    def _check_context(self, context: LatentContext) -> LatentContext:
        keys = torch.cat([segment.keys[-1:] for segment in context.segments], dim=2)
        self._close("k_last_layer", keys, self.recorded["k_last_layer"])
        length = torch.tensor([context.num_tokens])
        self._equal("cache_len", length, self.recorded["cache_len"])
        masks = past_masks(context)
        for name, branch in PAST_MASKS.items():
            self._equal(name, masks[branch].int(), self.recorded[name][0])
        return context

    def _close(self, what: str, ours: Tensor, recorded: Tensor) -> None:
        self.report.close(self.group, f"{self.name}.{what}", ours, recorded)

    def _equal(self, what: str, ours: Tensor, recorded: Tensor) -> None:
        self.report.equal(self.group, f"{self.name}.{what}", ours.tolist(), recorded.tolist())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ming verify`."""
    parser.add_argument("folder", type=Path, help="checkpoint with recorded inputs and outputs")


def main(args: argparse.Namespace) -> int:
    """Print the table of relative errors; 1 when any is above the limit."""
    report = verify(args.folder)
    for line in report.lines():
        print(line)
    return 0 if report.worst <= LIMIT else 1
