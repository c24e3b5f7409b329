"""A wider language model begins as good as the one it grew from, and brings latents along."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ming_bench.tiny_checkpoint.config import LATENT, Sizes, ming_config
from ming_core.univision.model import Components
from ming_core.univision.tokenizer import ConversationTokenizer
from training import wider
from training.__main__ import command_line
from training.build import begin_with, fresh_components
from training.curriculum import CURRICULA, LAST_PHASE, BatchMaker
from training.joint_stage import CARRYING, JointStage
from training.publish import copy_tokenizer
from training.run import Run
from training.sequences import Batch, SequenceMaker
from training.sizes import PRESETS
from training.stage import Settings, train_step
from training.teacher import conditions, encode, read
from training.tokenizer import vocabulary_of
from training.wider import BROUGHT, carry_latents, room

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
WORDS = BUNDLED / "Ming-UniVision"
TOKENS = 36


def begun(sizes: Sizes) -> tuple[Components, bool]:
    vocabulary = vocabulary_of(WORDS)
    components = fresh_components(ming_config(sizes, vocabulary), 1)
    return components, begin_with(components, BUNDLED, vocabulary)


@pytest.fixture(scope="module")
def narrow() -> Components:
    components, is_wider = begun(PRESETS["deep"])
    assert not is_wider
    return components


@pytest.fixture(scope="module")
def tokenizer() -> ConversationTokenizer:
    return ConversationTokenizer.load(WORDS)


def batch(tokenizer: ConversationTokenizer, task: str, count: int = 8) -> Batch:
    phase = replace(LAST_PHASE, shares={task: 1.0})
    makers = (SequenceMaker(tokenizer, TOKENS), SequenceMaker(tokenizer, TOKENS, 4 * TOKENS))
    return BatchMaker((phase,), 10, count, Settings(Path(), seed=5), *makers).batch(0)


@torch.no_grad()
def known(components: Components, some: Batch) -> Tensor:
    return conditions(components, read(components, some).hidden, some, TOKENS)


@pytest.fixture(scope="module")
def carrying(tokenizer: ConversationTokenizer) -> Components:
    components, _ = begun(PRESETS["wide"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wider, "PICTURES", 1000)
        patched.setattr(wider, "STEPS", 1500)
        carry_latents(components, tokenizer.image, 1)
    return components


@pytest.mark.parametrize("task", ["draw_two", "edit", "chain", "talk"])
def test_a_wider_model_has_the_same_conditions(narrow, carrying, tokenizer, task):
    wider, is_wider = begun(PRESETS["wide"])
    assert is_wider
    some = batch(tokenizer, task)
    expected = known(narrow, some)
    assert (known(wider, some) - expected).abs().max() < 1e-3 * expected.std()
    # What is carried is told in directions that conditions used least.
    assert (known(carrying, some) - expected).pow(2).mean() < 0.05 * expected.var()


@torch.no_grad()
def test_the_latents_of_a_given_picture_are_brought_to_where_each_patch_is_drawn(
    carrying, tokenizer
):
    some = batch(tokenizer, "copied", 64)
    after: list[Tensor] = []
    layer = carrying.language_model.transformer.layers[0]
    hook = layer.register_forward_hook(lambda *about: after.append(about[-1]))
    read(carrying, some)
    hook.remove()
    side = carrying.low_level_encoder.trained_grid[0]
    given = encode(carrying, some.given, side * 16, rendered_size=some.rendered_size).latents
    slots = (some.drawn_slots[:, None] - 1 + torch.arange(TOKENS)).flatten()
    brought = after[0].flatten(0, 1)[slots, -LATENT:].unflatten(0, (-1, TOKENS)) / BROUGHT
    assert (brought - given).pow(2).mean() < 0.25 * given.var()
    elsewhere = brought.roll(1, dims=1)
    assert (elsewhere - given).pow(2).mean() > 2 * (brought - given).pow(2).mean()


def test_nothing_that_carries_latents_learns(carrying, tokenizer, tmp_path):
    components = copy.deepcopy(carrying)
    config = ming_config(PRESETS["wide"], vocabulary_of(WORDS))
    settings = Settings(tmp_path, is_carrying=True)
    stage = JointStage(components, config, tokenizer, settings, CURRICULA["carried"], (10, 4))
    language = components.language_model
    before = {path: weight.detach().clone() for path, weight in language.named_parameters()}
    batches = {step: stage.maker.batch(step) for step in range(30)}
    step = next(s for s, b in batches.items() if b.drawn and b.is_learnt.any())
    train_step(stage, step)
    for path, weight in language.named_parameters():
        is_kept = path.startswith(tuple(f"{part}." for part in CARRYING))
        if is_kept:
            assert torch.equal(weight, before[path]), path
        elif path.endswith(("attention.dense.weight", "mlp.down.weight", "down_proj.weight")):
            moved = (weight - before[path]).abs()
            assert moved[..., : -2 * LATENT, :].max() > 0, path
            assert moved[..., -2 * LATENT :, :].max() == 0, path
    words = "transformer.word_embeddings.weight"
    moved = (language.get_parameter(words) - before[words]).abs()
    assert moved[:, : -room(language)].max() > 0 == moved[:, -room(language) :].max()
    head = "velocity.final_linear.weight"
    assert not torch.equal(language.get_parameter(head), before[head])


def test_who_tells_what_plain_words_give_carries_latents_too(tmp_path, monkeypatch):
    """Told by a model that was merely widened, it would learn to bring nothing."""
    monkeypatch.setattr(wider, "PICTURES", 16)
    monkeypatch.setattr(wider, "STEPS", 2)
    copy_tokenizer(WORDS, tmp_path / "tokenizer")
    said = ["--size", "wide", "--begin-with", str(BUNDLED), "--curriculum", "carried"]
    args = command_line().parse_args([str(tmp_path), *said, "--device", "cpu"])
    args.rank = 0
    stage, _ = Run(args).adopt()
    assert isinstance(stage, JointStage)
    known = stage.known.language_model.state_dict()
    for path, weight in stage.components.language_model.state_dict().items():
        assert torch.equal(known[path], weight), path
    attention = known["transformer.layers.0.attention.dense.weight"]
    assert attention[-LATENT:].any()
