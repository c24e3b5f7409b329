"""A run that stops and goes on ends with the same weights, and what it publishes loads."""

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ming_core import load_model
from ming_core.univision.key_map import expected_tensors
from training.__main__ import command_line
from training.stage import train_step


@pytest.fixture
def tiny_run(monkeypatch, tmp_path, vocabulary):
    """A function that makes a run of a few steps in a folder."""
    import shutil

    from ming_bench.tiny_checkpoint.config import Sizes
    from training import decoder_stage, head_stage, probation, rich_pictures, tokenizer_stage
    from training import run as command

    monkeypatch.setattr(tokenizer_stage, "POOL", 32)
    monkeypatch.setattr(tokenizer_stage, "LARGE_POOL", 16)
    monkeypatch.setattr(tokenizer_stage, "MEASURED", 12)
    monkeypatch.setattr(decoder_stage, "MEASURED", 12)
    monkeypatch.setattr(rich_pictures, "CHUNK", 16)
    monkeypatch.setattr(head_stage, "PATCHES", 100)
    monkeypatch.setattr(probation, "PICTURES", 1)
    monkeypatch.setattr(probation, "QUESTIONS", 1)
    monkeypatch.setitem(command.PRESETS, "test", Sizes(32, 2, 4, 2, 8, 4, 2, 16, 32, 1, 64, 1))
    small = {
        "size": "test",
        "tokenizer_steps": 4,
        "tokenizer_batch": 8,
        "joint_steps": 4,
        "refine_steps": 4,
        "head_steps": 4,
        "head_batch": 64,
        "decoder_steps": 4,
        "batch": 3,
        "seed": 1,
        "device": "cpu",
        "rank": 0,
    }

    def make(name: str, **changes) -> command.Run:
        folder = tmp_path / name
        shutil.copytree(vocabulary[0], folder / "tokenizer", dirs_exist_ok=True)
        args = vars(command_line().parse_args([str(folder)]))
        return command.Run(argparse.Namespace(**{**args, **small, **changes}))

    return make


def weights_of(run) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{path}": tensor
        for name, module in run.components.named().items()
        for path, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize("after", ["tokenizer", "refine", "joint", "head", "decoder"])
def test_a_run_in_parts_gives_the_same_weights(tiny_run, after: str, monkeypatch):
    whole = tiny_run("whole")
    assert whole.go()
    first = tiny_run("parts")
    taken = {"steps": 0}

    class StopError(Exception):
        pass

    from training import run as command

    real = command.train_step

    def counted(stage, step):
        if stage.name == after and step == 2:
            first._save(stage, step)
            raise StopError
        taken["steps"] += 1
        return real(stage, step)

    monkeypatch.setattr(command, "train_step", counted)
    with pytest.raises(StopError):
        first.go()
    monkeypatch.setattr(command, "train_step", real)
    second = tiny_run("parts")
    assert second.go()
    for name, tensor in weights_of(whole).items():
        assert torch.equal(tensor, weights_of(second)[name]), name


def test_training_changes_every_weight_and_leaves_the_tokenizer_alone_later(tiny_run):
    from training.muon import speed_at

    run = tiny_run("whole", joint_steps=20)
    before = {n: t.clone() for n, t in weights_of(run).items()}
    assert run.go()
    still = [n for n, t in weights_of(run).items() if torch.equal(t, before[n])]
    assert not still, still
    assert speed_at(0, 1000, 0.4) < speed_at(200, 1000, 0.4) == 1 > speed_at(999, 1000, 0.4)
    assert speed_at(600, 1000, 0.4) < 1 == speed_at(600, 1000, 0.7)
    assert speed_at(500, 1000, 0.0) == pytest.approx(0.505)


def test_probes_are_silent_at_first_and_then_teach_what_is_about_to_be_drawn(tiny_run):
    run = tiny_run("probes", joint_steps=40)
    stage = run.stage("joint")
    language = list(run.components.language_model.parameters())
    step = next(s for s in range(40) if stage.maker.batch(s).drawn)

    def taught() -> float:
        plan = stage.losses(step)["plan"]
        given = torch.autograd.grad(plan, language, allow_unused=True, materialize_grads=True)
        return max(float(gradient.abs().max()) for gradient in given)

    assert taught() == 0
    first, *_, last = [train_step(stage, step)["plan"] for _ in range(12)]
    assert last < first
    assert taught() > 0
    unseen = next(s for s in range(40) if not stage.maker.batch(s).drawn)
    assert stage.losses(unseen)["plan"] == 0
    assert stage.modules()["probes"] is stage.probes


def test_the_decoder_stage_trains_the_pixel_decoder_alone(tiny_run):
    run = tiny_run("decoder", decoder_steps=1)
    assert run.go()
    before = {n: t.clone() for n, t in weights_of(run).items()}
    stage = run.stage("decoder")
    losses = [float(train_step(stage, step)["loss"]) for step in (0, 0, 0, 0)]
    assert losses[-1] < losses[0]  # the same pictures every time
    stage.optimiser.settle()
    changed = {n for n, t in weights_of(run).items() if not torch.equal(t, before[n])}
    assert changed
    assert all(name.startswith("pixel_decoder.") for name in changed)
    assert set(stage.measure(run.folder)) == {"psnr", "small", "medium", "large", "inside"}


def test_the_head_stage_trains_the_flow_head_alone(tiny_run):
    run = tiny_run("head", head_steps=1)
    assert run.go()
    before = {n: t.clone() for n, t in weights_of(run).items()}
    stage = run.stage("head")
    losses = [float(train_step(stage, 0)["loss"]) for _ in range(6)]
    assert losses[-1] < losses[0]  # the same rows every time
    stage.optimiser.settle()
    changed = {n for n, t in weights_of(run).items() if not torch.equal(t, before[n])}
    assert changed
    assert all(name.startswith("language_model.velocity.") for name in changed)


def test_a_refined_tokenizer_stays_near_what_it_was(tiny_run, monkeypatch):
    from training import decoder_stage

    run = tiny_run("known", joint_steps=1)
    assert run.go()
    known, kept = copy.deepcopy(run.components), {}
    for weight in (0.0, 100.0):
        monkeypatch.setattr(decoder_stage, "KEPT", weight)
        run.components = copy.deepcopy(known)
        stage = run.stage("refine")
        first = stage.losses(0)
        assert first["kept"] == 0
        for _ in range(12):
            kept[weight] = train_step(stage, 0)["kept"]
        if not weight:
            assert stage.losses(0)["far"] < first["far"]  # the same pictures every time
        changed = [
            name
            for name, part in run.components.named().items()
            for a, b in zip(part.parameters(), known.named()[name].parameters(), strict=True)
            if not torch.equal(a, b)
        ]
        assert set(changed) == set(stage.trained)
    assert 0 < kept[100.0] < kept[0.0]


def test_a_small_thing_counts_as_much_as_a_large_one():
    from training.decoder_stage import _weight

    coverage = torch.zeros(1, 3, 96, 96)
    coverage[0, 0, 4:20, 4:20] = coverage[0, 1, 30:80, 30:80] = 1
    more = _weight(coverage)[0, 0] - 1
    small, large = more[:24, :24].sum(), more[24:, 24:].sum()
    assert small == pytest.approx(large)
    assert small == pytest.approx(96**2)


def test_what_is_published_loads_and_is_what_was_trained(tiny_run):
    from training.publish import publish

    run = tiny_run("published")
    assert run.go()
    folder = run.folder / "checkpoint"
    size = publish(run.components, run.sizes, run.folder / "tokenizer", folder)
    assert size < 16_000_000
    model = load_model(folder)
    assert len(expected_tensors(model.config, model.parts.named())) > 50
    for name, tensor in weights_of(run).items():
        component, _, path = name.partition(".")
        loaded = model.components[component].state_dict()[path]
        assert torch.equal(loaded, tensor.bfloat16().float()), name
    assert model.config.mingtok.mean == run.components.semantic_decoder.mean


def test_a_run_goes_on_from_a_checkpoint_and_a_deeper_one_begins_as_good(tiny_run, monkeypatch):
    import dataclasses

    from ming_core import CheckpointError
    from training import run as command
    from training.publish import publish
    from training.teacher import read

    run = tiny_run("source", joint_steps=20)
    assert run.go()
    folder = run.folder / "checkpoint"
    publish(run.components, run.sizes, run.folder / "tokenizer", folder)
    same, deeper, wider, narrower = (
        dataclasses.replace(run.sizes, **change)
        for change in (
            {},
            {"layers": 2 * run.sizes.layers + 1, "pixel_depth": 5},
            {"hidden": 2 * run.sizes.hidden},
            {"hidden": run.sizes.hidden // 2},
        )
    )
    hidden, painted = [], []
    features = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(4))
    for name, sizes in (("same", same), ("deeper", deeper)):
        monkeypatch.setitem(command.PRESETS, "test", sizes)
        going_on = tiny_run(name, begin_with=folder, seed=9, joint_steps=40, refine_steps=0)
        stage, step = going_on.adopt()
        assert (stage.name, step) == ("joint", 0)
        assert going_on.components.semantic_decoder.mean == pytest.approx(
            run.components.semantic_decoder.mean
        )
        with torch.no_grad():
            hidden.append(read(going_on.components, stage.maker.batch(11)).hidden)
            painted.append(going_on.components.pixel_decoder(features, (4, 4)))
        if name == "same":
            for path, tensor in weights_of(going_on).items():
                assert torch.equal(tensor, weights_of(run)[path].bfloat16().float()), path
    refined, step = tiny_run("refined", begin_with=folder, refine_steps=1).adopt()
    assert (refined.name, step) == ("refine", 0)
    assert torch.allclose(hidden[1], hidden[0], atol=1e-4)
    assert len(going_on.components.pixel_decoder.blocks) == 5
    assert painted[0].std() > 0.01
    assert torch.allclose(painted[1], painted[0], atol=1e-5)
    layers = going_on.components.language_model.transformer.layers
    before = [p.clone() for p in layers.parameters()]
    known = [p.clone() for p in stage.known.language_model.parameters()]
    train_step(stage, 11)
    assert all(map(torch.equal, known, stage.known.language_model.parameters()))
    still = [b for b, p in zip(before, layers.parameters(), strict=True) if torch.equal(b, p)]
    assert len(still) < len(before) / 2  # what was silent learns
    monkeypatch.setitem(command.PRESETS, "test", wider)
    with pytest.raises(CheckpointError, match="89 channels and a key head more"):
        tiny_run("wider", begin_with=folder).adopt()
    roomy = dataclasses.replace(same, hidden=128, heads=6, kv_heads=3)
    monkeypatch.setitem(command.PRESETS, "test", roomy)
    with pytest.raises(CheckpointError, match="heads 32 wide"):
        tiny_run("roomy", begin_with=folder).adopt()
    monkeypatch.setitem(command.PRESETS, "test", narrower)
    with pytest.raises(CheckpointError, match=r"expected \("):
        tiny_run("narrower", begin_with=folder).adopt()
    monkeypatch.setitem(command.PRESETS, "test", dataclasses.replace(same, layers=1))
    with pytest.raises(CheckpointError, match="deeper"):
        tiny_run("less", begin_with=folder).adopt()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "3"], "at most 1"),
        (["--refine-steps", "5"], "name it with --begin-with"),
        (["--begin-with", "nowhere"], "nowhere is no folder"),
        (["--known", "bundled"], "--curriculum people --begin-with"),
        (["--known", "bundled", "--begin-with", "bundled"], "--curriculum people --begin-with"),
        (
            ["--known", "gone", "--begin-with", "bundled", "--curriculum", "people"],
            "gone is no folder",
        ),
        (["--begin-with", "bundled", "--size", "full"], "Choose a deeper --size"),
        (["--size", "wide"], "name it with --begin-with"),
        (["--size", "wide", "--begin-with", "bundled", "--refine-steps", "2"], "leave --refine"),
        (["--head-steps", "2", "--head-batch", "3"], "must be 8 for each process"),
    ],
)
def test_the_command_says_what_cannot_be_gone_on_from(
    tmp_path, monkeypatch, capsys, arguments: list[str], said: str
):
    from training.__main__ import main

    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(torch, "set_flush_denormal", lambda _: True)  # it would stay for all tests
    monkeypatch.setattr("sys.argv", ["training", str(tmp_path / "run"), *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "state.pt").exists()


def test_a_run_that_goes_on_takes_its_share_of_the_rate(tiny_run):
    rates = []
    for share in (1.0, 0.25):
        stage = tiny_run("rate", rate=share).stage("joint")
        train_step(stage, 1)
        rates.append(
            [o.param_groups[0]["lr"] for o in (stage.optimiser.muon, stage.optimiser.adam)]
        )
    assert rates[1] == pytest.approx([rate / 4 for rate in rates[0]])


@pytest.mark.parametrize("has_bf16", [True, False])
def test_a_cpu_that_only_imitates_bf16_computes_in_fp32(monkeypatch, has_bf16: bool):
    from training.muon import fast_type
    from training.stage import autocast

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    expected = torch.bfloat16 if has_bf16 else torch.float32
    with autocast(torch.device("cpu")):
        assert torch.nn.functional.linear(torch.ones(2, 4), torch.ones(3, 4)).dtype == expected
    assert fast_type(torch.device("cpu")) == expected
    assert fast_type(torch.device("cuda")) == torch.bfloat16


def test_learning_experts_are_the_engines_and_tell_how_evenly_they_are_chosen(model):
    from ming_core.univision.language_model.experts import MixtureOfExperts

    layer = copy.deepcopy(model.parts.language_model.transformer.layers[0].mlp)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 9, 32, generator=generator)
    is_image = torch.arange(9).expand(2, -1) > 5
    with torch.no_grad():
        learning, plain = layer(x, is_image), MixtureOfExperts.forward(layer, x, is_image)
        assert (learning - plain).abs().max() < 1e-5
        for router in (layer.text_router, layer.image_router):
            router.weight.zero_()
        layer(x, is_image)
        assert float(layer.balance) == pytest.approx(1)
        layer.text_router.weight[0] = layer.image_router.weight[0] = 9 * x[0, 0]
        layer(x[:, :1].repeat(1, 9, 1)[:1], is_image[:1])
        assert float(layer.balance) == pytest.approx(layer.num_experts / layer.top_k, rel=1e-3)


def test_muon_makes_updates_orthogonal():
    from training.muon import orthogonal

    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices).float())
    assert values.min() > 0.4
    assert values.max() < 1.4


def test_blocks_are_traced_whole_whatever_their_length(model):
    """`--compile` leaves lengths open: nothing in a block may need to know how many rows."""
    blocks = model.parts.language_model.velocity.res_blocks
    for block in (blocks[0], model.parts.semantic_decoder.blocks[0].mlp):
        width = 3 if block is blocks[0] else 0
        size = (block.mlp if width else block).w12.in_features
        traced = torch.compile(block, backend="eager", dynamic=True, fullgraph=True)
        for rows in (9, 20, 33):
            arguments = [torch.randn(rows, size)]
            arguments += [torch.randn(rows, width * size)] if width else []
            with torch.no_grad():
                assert torch.equal(traced(*arguments), block(*arguments))


def test_people_are_drawn_for_as_plain_words_are(tiny_run):
    """The loss is nothing for the same words, and teaches people's words, not the plain ones."""
    stage = tiny_run("people", curriculum="people", joint_steps=60, batch=6).stage("joint")
    assert stage.known is stage.components  # nothing was there before it
    made = {step: stage.maker.batch(step) for step in range(60)}
    steps = [
        step
        for step, batch in made.items()
        if batch.plain and not batch.is_learnt.any() and len(batch.plain.ids) == len(batch.ids)
    ]
    batch = made[steps[0]]
    assert batch.drawn == batch.plain.drawn and batch.given == batch.plain.given
    losses = stage.losses(steps[0])
    assert losses["alike"] > 0 == losses["flow"]
    losses["alike"].backward()
    embeddings = stage.components.language_model.transformer.word_embeddings.weight
    taught = {int(row) for row in embeddings.grad.abs().sum(1).nonzero()[:, 0]}
    assert taught <= {*batch.ids.flatten().tolist()}
    stage.maker.batch = lambda _: replace(batch, plain=batch)
    assert stage.losses(steps[0])["alike"] == 0
