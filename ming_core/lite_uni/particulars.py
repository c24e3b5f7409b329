"""What a checkpoint's files say that no documentation of the model does (LITE_UNI 14).

Nobody here has seen the published weights: these lines tell whoever has them what to report.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..foreign_files import is_plain_file
from ..foreign_text import several
from ..tensor_files import StoredTensor, TensorFiles, read_json
from .config import LiteUniConfig
from .folders import (
    AUTOENCODER,
    CONNECTOR,
    FOLDERS,
    GLUE,
    LANGUAGE,
    SCHEDULER,
    TRANSFORMER,
    VISION,
)
from .key_map import OVERRIDE, TRAINED
from .qwen import QwenConfig
from .sequence import MARKUP, MEDIA, LiteTokenizer


def particulars(
    root: Path, config: LiteUniConfig, files: Sequence[TensorFiles], tokenizer: LiteTokenizer
) -> dict[str, str]:
    """Return a line for every folder, from configs and headers alone."""
    vision, diffusion, vae = config.vision, config.diffusion, config.autoencoder
    nested = "vision_config" in read_json(root / VISION / "config.json")
    side = diffusion.sample_size * vae.pixels_per_latent
    scaled = "timestep_scale" in read_json(root / TRANSFORMER / "config.json")
    lines = {
        VISION: f"config {'under vision_config' if nested else 'flat'}; {vision.depth} layers of "
        f"{vision.width}, all of a picture seen by {sorted(vision.full_layers)}, out "
        f"{vision.out_size}",
        LANGUAGE: _qwen(config.language),
        "tokenizer": _tokenizer(root / LANGUAGE, tokenizer),
        "answers end": f"{sorted(tokenizer.stops | config.stops)}",
        CONNECTOR: _qwen(config.connector),
        GLUE: f"queries of {', '.join(f'{s}x{s}' for s in config.glue.scales)}; condition "
        f"{config.glue.head_size} -> {config.glue.condition_size}; {_beside(files)}",
        TRANSFORMER: f"{diffusion.num_layers} layers of {diffusion.width}; sample_size "
        f"{diffusion.sample_size} ({side} x {side}); timestep_scale {diffusion.timestep_scale:g}"
        f"{'' if scaled else ' (not in the file)'}",
        AUTOENCODER: f"{vae.latent_channels} channels; scaling_factor {vae.scaling_factor:g}",
        SCHEDULER: _scheduler(root, config),
    }
    for folder, text in _stored(files):
        lines[folder] = f"{lines[folder]}; {text}" if folder in lines else text
    return lines


def _qwen(qwen: QwenConfig) -> str:
    return (
        f"{qwen.num_layers} layers of {qwen.hidden_size}, {qwen.num_heads} heads / "
        f"{qwen.num_kv_heads} of {qwen.head_size}, MLP {qwen.mlp_size}; vocabulary "
        f"{qwen.vocab_size}, {'tied' if qwen.is_tied else 'not tied'}; rope_theta "
        f"{qwen.rope_theta:g}; eps {qwen.rms_norm_eps:g}"
    )


def _tokenizer(folder: Path, tokenizer: LiteTokenizer) -> str:
    name = "tokenizer.json" if is_plain_file(folder / "tokenizer.json") else "vocab, merges"
    held = {token["content"] for token in LiteTokenizer.layout(folder)["added_tokens"]}
    numbers = [tokenizer.ids[token] for token in (*MARKUP, *MEDIA)]
    present = sum(token in held for token in (*MARKUP, *MEDIA))
    return (
        f"{name}; {present} of the {len(numbers)} added tokens in the file; their ids are "
        f"{min(numbers)} to {max(numbers)}, <imagePatch> {tokenizer.ids[MEDIA[0]]}"
    )


def _beside(files: Sequence[TensorFiles]) -> str:
    """Say what the glue holds beside the tensors it must: overrides, and remains of training."""
    names = [name for one in files if one.folder.name == GLUE for name in one.tensors]
    overriding = [name for name in names if name.startswith(OVERRIDE)]
    spare = [n for n in names if n not in overriding and not TRAINED.fullmatch(n)]
    text = f"{len(overriding)} tensors of {OVERRIDE}*"
    if spare:
        text += f"; {len(spare)} that nothing reads: {several(spare)}"
    return text


def _scheduler(root: Path, config: LiteUniConfig) -> str:
    values = read_json(root / SCHEDULER / "scheduler_config.json")
    schedule = config.schedule
    ignored = ", flow_shift has no effect" if "flow_shift" in values else ""
    spacing = f"; {schedule.spacing} spacing" if schedule.spacing else ""
    return f"{values.get('_class_name', 'no class')}; shift {schedule.shift:g}{ignored}{spacing}"


def _stored(files: Sequence[TensorFiles]) -> Iterator[tuple[str, str]]:
    """Yield each folder's files, and the formats of its tensors."""
    for one in files:
        tensors: Mapping[str, StoredTensor] = one.tensors
        shards = sorted({tensor.path.name for tensor in tensors.values()})
        dtypes = Counter(tensor.dtype for tensor in tensors.values())
        name = one.folder.name if one.folder.name in FOLDERS else "files"
        counted = ", ".join(f"{count} {dtype}" for dtype, count in sorted(dtypes.items()))
        more = f" and {len(shards) - 1} more" if len(shards) > 1 else ""
        yield name, f"{shards[0] if shards else 'no file'}{more}, {counted}"
