"""Makes the folder `training` importable without putting the repository's root on the path.

The root must stay off the path: its folder `nodes` would hide ComfyUI's own module.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "training"

if "training" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "training", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["training"] = package
    spec.loader.exec_module(package)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    """The tiny model's tokenizer, written once: (folder, vocabulary)."""
    from training.tokenizer import write_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    return folder, write_tokenizer(folder)


@pytest.fixture(scope="session")
def model(vocabulary):
    """A very small model with random weights, nothing of it silent."""
    from ming_bench.tiny_checkpoint.config import Sizes, ming_config
    from ming_core.univision.model import MingModel
    from ming_core.univision.tokenizer import ConversationTokenizer
    from training.build import fresh_components

    folder, words = vocabulary
    sizes = Sizes(32, 2, 4, 2, 8, 4, 2, 16, 32, 1, 64, 1, mean=0.1, scale=1.3)
    config = ming_config(sizes, words)
    components = fresh_components(config, seed=3)
    generator = torch.Generator().manual_seed(1)
    for silent in (
        components.language_model.velocity.modulation,
        components.language_model.velocity.final_linear,
    ):
        torch.nn.init.normal_(silent.weight, std=0.1, generator=generator)
    return MingModel("test", config, ConversationTokenizer.load(folder), components, torch.float32)
