"""A tiny random checkpoint, the model loaded from it, and tools to look into a run."""

import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import (
    ImageSampling,
    LatentContext,
    MingModel,
    Picture,
    Reply,
    Text,
    encode_image,
    expand,
    generate,
    load_model,
)

BIG, SMALL = "Ming-UniVision", "MingTok-Vision"
ROOT = Path(__file__).parents[2]
PACKAGES = ("ming_core", "ming_cli")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint folder; tests that change files take `checkpoint`."""
    return make_tiny(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="session")
def model(tiny: Path) -> MingModel:
    return load_model(tiny)


@pytest.fixture(scope="session")
def quick() -> ImageSampling:
    return ImageSampling(steps=2)


@pytest.fixture(scope="session")
def photo() -> Tensor:
    """A host image, neither square nor a multiple of anything."""
    return torch.rand(1, 70, 53, 3, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="session")
def shown(model: MingModel, photo: Tensor):
    """The features of a given picture."""
    return expand(model, encode_image(model, photo, "edit"))


@pytest.fixture(scope="session")
def drawn(model: MingModel, quick: ImageSampling) -> Reply:
    """A picture drawn in the first turn of a conversation."""
    return generate(model, "a red circle", seeds=[7], sampling=quick)[0]


def tensors_of(context: LatentContext) -> list[Tensor]:
    parts = [part for turn in context.turns for part in (*turn.parts, *turn.reply)]
    pictures = [part.features.values for part in parts if isinstance(part, Picture)]
    return [t for s in context.segments for t in (s.keys, s.values)] + pictures


def bytes_of(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.fixture(scope="session")
def digest() -> Callable[[LatentContext], str]:
    """Hash every tensor of a context, and everything its turns say."""

    def of(context: LatentContext) -> str:
        sha = hashlib.sha256(context.model_identity.encode())
        for tensor in tensors_of(context):
            sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode() + bytes_of(tensor))
        for turn in context.turns:
            for part in (*turn.parts, *turn.reply):
                word = part.text if isinstance(part, Text) else part.features.grid
                sha.update(repr((type(part).__name__, word)).encode())
            counts = (turn.num_prompt_tokens, turn.num_reply_tokens)
            sha.update(repr((counts, turn.seed, turn.image_sampling, turn.text_sampling)).encode())
        return sha.hexdigest()

    return of


@pytest.fixture(scope="session")
def weights_digest() -> Callable[[MingModel], str]:
    """Hash every parameter of a model, and what else its modules hold."""

    def of(model: MingModel) -> str:
        sha = hashlib.sha256()
        for name, component in sorted(model.components.items()):
            for key, tensor in component.state_dict().items():
                sha.update(f"{name}.{key}".encode() + bytes_of(tensor))
            for module in component.modules():
                sha.update(repr(sorted(vars(module))).encode())
        return sha.hexdigest()

    return of


@pytest.fixture
def watch() -> Iterator[Callable[[nn.Module], list]]:
    """Record (inputs, output) of every call of a module, until the test ends."""
    hooks = []

    def start(module: nn.Module) -> list:
        calls: list = []
        hooks.append(module.register_forward_hook(lambda _m, x, y: calls.append((x, y))))
        return calls

    yield start
    for hook in hooks:
        hook.remove()


@pytest.fixture
def script(model: MingModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int]], None]:
    """Make the model want to say given tokens, one after another; beyond them, end the text."""

    def say(tokens: list[int]) -> None:
        wanted = iter(tokens)

        def logits(hidden: Tensor) -> Tensor:
            scores = torch.zeros(model.config.language.vocab_size)
            scores[next(wanted, model.tokenizer.eos)] = 50.0
            return scores

        monkeypatch.setattr(model.parts.language_model.transformer, "logits", logits)

    return say


class Checkpoint:
    """A copy of the tiny checkpoint that a test may break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.big, self.small = folder / BIG, folder / SMALL
        self.index = self.big / "model.safetensors.index.json"

    @property
    def shards(self) -> list[Path]:
        return sorted(self.big.glob("*.safetensors"))

    def configure(self, section: str | None, key: str, value: object) -> None:
        """Set a figure of the big config.json, or of MingTok's when `section` is one of its."""
        for path in (self.big / "config.json", self.small / "config.json"):
            config = json.loads(path.read_text(encoding="utf-8"))
            part = config if section is None else config.get(section)
            if part is not None and (section is not None or key in config):
                part[key] = value
            path.write_text(json.dumps(config), encoding="utf-8")

    def tensors(self) -> dict[str, Tensor]:
        return {name: t for shard in self.shards for name, t in load_file(shard).items()}

    def write(self, tensors: dict[str, Tensor], num_shards: int = 1) -> None:
        """Replace the weights of the big folder, without an index."""
        for path in (*self.shards, self.index):
            path.unlink(missing_ok=True)
        names = list(tensors)
        for i in range(num_shards):
            part = {n: tensors[n].contiguous().clone() for n in names[i::num_shards]}
            save_file(part, self.big / f"part-{i}.safetensors")


@pytest.fixture
def checkpoint(tiny: Path, tmp_path: Path) -> Checkpoint:
    shutil.copytree(tiny, tmp_path / "copy")
    return Checkpoint(tmp_path / "copy")


@pytest.fixture
def broken_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a loader of `ming_cli.verify` over a copy of the engine with one text replaced."""
    kept = {name: sys.modules[name] for name in list(sys.modules) if name.split(".")[0] in PACKAGES}

    def load(file: str, text: str, wrong: str):
        for package in PACKAGES:
            shutil.copytree(ROOT / package, tmp_path / package)
        source = tmp_path / "ming_core" / file
        original = source.read_text(encoding="utf-8")
        assert text in original, f"{file} no longer holds {text!r}"
        source.write_text(original.replace(text, wrong), encoding="utf-8")
        for name in kept:
            del sys.modules[name]
        monkeypatch.syspath_prepend(str(tmp_path))
        return importlib.import_module("ming_cli.verify")

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.modules.update(kept)
