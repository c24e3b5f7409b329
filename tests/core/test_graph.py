"""The token step: device work alone, recorded once, and the same pictures however it is run.

There is no accelerator here: `op_tape` stands for its graphs.
"""

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ming_cli.verify import LIMIT, verify
from ming_core import ImageSampling, MingModel, Progress, Reply, edit, generate
from ming_core.graph import AHEAD, WARM_UPS, Repeated
from ming_core.kv_cache import WorkingCache
from ming_core.operations import TorchOperations
from ming_core.progress import Callback, ProgressBar
from ming_core.univision.drawing import BranchBatch, DecodeState, Start, weights_of
from ming_core.univision.guidance import Branch, guidance_weights
from ming_core.univision.language_model.experts import DECODED_TOKENS, MixtureOfExperts
from ming_core.univision.model import Components

ROOT = Path(__file__).parents[2]
TOKENS = 36  # of a picture of the tiny model


def neighbour(name: str):
    """Import a file that lies beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


op_tape = neighbour("op_tape")
HostRefused, TapeRecorder = op_tape.HostRefused, op_tape.TapeRecorder


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw on the CPU in the form that accelerators draw in."""
    monkeypatch.setattr("ming_core.kv_cache.SLICING", ())
    monkeypatch.setattr(
        MixtureOfExperts, "asks_nothing", lambda _self, tokens: len(tokens) <= DECODED_TOKENS
    )


@pytest.fixture
def recorder(static, monkeypatch: pytest.MonkeyPatch):
    """Record on the CPU."""
    recorder = TapeRecorder()
    monkeypatch.setattr("ming_core.univision.drawing.recorder_for", lambda _device: recorder)
    return recorder


def same(ours: list[Reply], theirs: list[Reply]) -> bool:
    """Whether replies agree bit for bit: pictures, and contexts."""
    return all(
        torch.equal(a.latents.values, b.latents.values)
        and torch.equal(a.features.values, b.features.values)
        and all(
            torch.equal(s.keys, t.keys) and torch.equal(s.values, t.values)
            for s, t in zip(a.context.segments, b.context.segments, strict=True)
        )
        for a, b in zip(ours, theirs, strict=True)
    )


def test_the_form_for_accelerators_draws_what_the_form_for_a_cpu_draws(
    model, shown, quick, monkeypatch
):
    how = {"seeds": [7, 8], "sampling": quick, "features": shown}
    sliced = generate(model, "a star", **how)
    monkeypatch.setattr("ming_core.kv_cache.SLICING", ())
    slotted = generate(model, "a star", **how)
    for ours, theirs in zip(slotted, sliced, strict=True):
        # The first tokens to rounding; after them rounding itself is fed back and grows.
        for value in ("latents", "features"):
            a, b = getattr(ours, value).values, getattr(theirs, value).values
            assert torch.allclose(a[:, :4], b[:, :4], atol=1e-5)
            assert torch.allclose(a, b, atol=2e-2)
        assert ours.context.num_tokens == theirs.context.num_tokens
        assert torch.allclose(
            ours.context.segments[1].keys, theirs.context.segments[1].keys, atol=2e-2
        )


@pytest.mark.parametrize("renorm", [False, True])
def test_a_token_is_drawn_without_the_host(model, shown, static, monkeypatch, renorm: bool):
    drawn, step = [], DecodeState.decode_step

    def watched(self: DecodeState, callback: Callback) -> None:
        with HostRefused():
            step(self, callback)
        drawn.append(self.num_drawn)

    monkeypatch.setattr(DecodeState, "decode_step", watched)
    sampling = ImageSampling(steps=3, solver="ab2", renorm=renorm, time_shift=2.0)
    generate(model, "a star", seeds=[1, 2], sampling=sampling, features=shown)
    assert drawn == list(range(TOKENS))


def test_what_looks_at_the_routing_is_not_recorded(model, recorder, quick, caplog):
    pictures = DECODED_TOKENS // 2 + 1  # in two rows each
    with caplog.at_level(logging.WARNING, logger="ming"):
        generate(model, "a star", seeds=list(range(pictures)), sampling=quick)
    assert recorder.warm_ups == recorder.records == 0
    assert not caplog.records
    generate(model, "a star", seeds=[0], sampling=quick)
    assert recorder.records == 1


class OneDevice(TorchDispatchMode):
    """Fails at an operation on anything that is not on the meta device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
        assert {t.device.type for t in tensors} <= {"meta"}, func
        return out


@torch.inference_mode()
def test_a_token_touches_nothing_in_main_memory(model: MingModel, quick):
    """The meta device is as far from main memory as a card, and asking it anything is an error."""
    device = torch.device("meta")
    parts = Components.build(model.config, TorchOperations, torch.bfloat16)
    far = MingModel("far", model.config, model.tokenizer, parts, torch.bfloat16, device)
    cache = WorkingCache(far.kv_shape, 1, 9)
    cache.advance(9)
    seen = dict.fromkeys(Branch, torch.ones(9, dtype=torch.bool))
    weights = guidance_weights(quick, has_image_branch=True)
    rows = BranchBatch([Start(cache, seen)], weights, (2, 5))
    state = DecodeState(far, rows, torch.zeros(3, 2, 32), quick, ProgressBar())
    with OneDevice():
        for _ in range(3):
            state.decode_step()
    assert state.latents.device == device


@torch.inference_mode()
@pytest.mark.parametrize(
    "ask",
    [lambda t: t[0].item(), lambda t: t.tolist(), lambda t: bool(t[0] > 0), lambda t: t[t > 0]]
    + [lambda t: t.cpu(), lambda t: torch.tensor([1.0]), lambda t: t.nonzero()],
)
def test_asking_the_host_is_noticed(ask):
    with pytest.raises(RuntimeError, match="capturing"), HostRefused():
        ask(torch.ones(3))


@pytest.mark.parametrize("seeds", [[7], [7, 8, 9]])
@pytest.mark.parametrize("more", [{}, {"solver": "ab2", "renorm": True, "time_shift": 2.0}])
def test_a_replayed_picture_is_the_picture(model, shown, recorder, monkeypatch, seeds, more):
    how = {"seeds": seeds, "sampling": ImageSampling(**({"steps": 2} | more)), "features": shown}
    replayed = generate(model, "a star", **how)
    monkeypatch.setattr("ming_core.univision.drawing.recorder_for", lambda _device: None)
    assert same(replayed, generate(model, "a star", **how))
    assert (recorder.warm_ups, recorder.records) == (WARM_UPS, 1)
    assert recorder.finished == TOKENS - WARM_UPS


def test_a_conversation_is_replayed_beyond_one_bucket(model, recorder, quick, monkeypatch):
    monkeypatch.setattr("ming_core.kv_cache.BUCKET", 64)

    def talk() -> list[Tensor]:
        context, pictures = None, []
        for instruction in ("a star", "bluer", "a moon"):
            reply = generate(model, instruction, seeds=[3], sampling=quick, context=context)[0]
            context = reply.context
            pictures.append(reply.features.values)
        pictures.append(edit(model, "red", seed=1, context=context, sampling=quick).features.values)
        return pictures

    replayed = talk()
    assert recorder.records == 4
    monkeypatch.setattr("ming_core.univision.drawing.recorder_for", lambda _device: None)
    assert all(torch.equal(a, b) for a, b in zip(replayed, talk(), strict=True))


@pytest.mark.golden
@pytest.mark.parametrize("recorded", ["a", "b", "c"])
def test_replayed_pictures_are_the_recorded_ones(recorder, recorded: str):
    assert verify(ROOT / "tests" / "golden" / recorded).worst <= LIMIT
    assert recorder.replays


def test_a_device_may_be_named_without_its_number_or_with(model, recorder, quick):
    numbered = replace(model, device=torch.device("cpu", 0))
    assert numbered.device != torch.zeros(1, device=numbered.device).device
    generate(numbered, "a star", seeds=[1], sampling=quick)
    assert recorder.replays


def test_only_what_is_replayed_runs_no_python(model, recorder, quick, watch):
    velocity = watch(model.parts.language_model.velocity)
    generate(model, "a star", seeds=[1], sampling=quick)
    assert len(velocity) == quick.steps * (WARM_UPS + 1)


def test_what_cannot_be_recorded_is_drawn_as_it_is(model, quick, recorder, monkeypatch, caplog):
    monkeypatch.setattr(DecodeState, "decode_step", asking(DecodeState.decode_step))
    with monkeypatch.context() as patched:
        patched.setattr("ming_core.univision.drawing.recorder_for", lambda _device: None)
        plain = generate(model, "a star", seeds=[7], sampling=quick)
    with caplog.at_level(logging.WARNING, logger="ming"):
        assert same(generate(model, "a star", seeds=[7], sampling=quick), plain)
    assert (recorder.records, recorder.replays) == (1, 0)
    assert len(caplog.records) == 1
    assert "MING_CUDA_GRAPH=0" in caplog.text
    assert "capturing: item" in caplog.text


def asking(function):
    """Let a step ask for a value when half of it is done."""

    def asked(self: DecodeState, callback: Callback) -> None:
        function(self, callback)
        self.hidden.sum().item()

    return asked


class Mover(Progress):
    """Moves a weight while a picture is drawn, as a host that makes room would."""

    def __init__(self, parameter: torch.nn.Parameter, at: int) -> None:
        self._parameter, self._at = parameter, at

    def advance(self, done: int, total: int) -> None:
        if done == self._at:
            self._kept = self._parameter.data  # so that the new address is another
            self._parameter.data = self._kept.clone()


@pytest.mark.parametrize("at", [WARM_UPS - 1, WARM_UPS, 20])
def test_a_recording_is_dropped_when_a_weight_has_moved(model, recorder, quick, at: int):
    plain = generate(model, "a star", seeds=[7], sampling=quick)
    recorder.replays = recorder.finished = recorder.records = 0
    mover = Mover(model.parts.semantic_decoder.blocks[1].mlp.w3.weight, at)
    assert same(generate(model, "a star", seeds=[7], sampling=quick, progress=mover), plain)
    assert recorder.replays == max(0, at - WARM_UPS)


def test_every_weight_a_token_reads_is_looked_after(model, static, quick, monkeypatch):
    """Replacing any of the others changes no picture; each of these is among the weights."""
    guarded = {id(tensor) for tensor in weights_of(model.parts)}
    read, step = set(), DecodeState.decode_step

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            read.update(id(a) for a in args if isinstance(a, torch.nn.Parameter))
            return func(*args, **(kwargs or {}))

    def watched(self: DecodeState, callback: Callback) -> None:
        with Reads():
            step(self, callback)

    monkeypatch.setattr(DecodeState, "decode_step", watched)
    generate(model, "a star", seeds=[1], sampling=quick)
    everything = {id(p) for part in model.components.values() for p in part.parameters()}
    assert len(read & everything) > 50
    assert read & everything <= guarded


def repeated(recorder, weights: list[Tensor], work=lambda _callback: None) -> Repeated:
    return Repeated(work, weights, torch.device("cpu"), recorder)


def test_nothing_is_recorded_while_a_weight_is_elsewhere():
    for elsewhere, replays in ((torch.empty(1, device="meta"), 0), (torch.empty(1), 4)):
        recorder = TapeRecorder()
        run = repeated(recorder, [torch.empty(1), elsewhere])
        for _ in range(WARM_UPS + 4):
            run()
        assert recorder.replays == replays


class CancelError(Exception):
    """A host's cancel: an Exception on ComfyUI 0.8.0, a BaseException on newer ones."""


@pytest.mark.parametrize("cancel", [CancelError, KeyboardInterrupt])
def test_a_cancel_while_recording_is_a_cancel(cancel, caplog):
    calls = []

    def callback() -> None:
        calls.append(1)
        if len(calls) > WARM_UPS:
            raise cancel

    run = repeated(TapeRecorder(), [], lambda callback: callback())
    for _ in range(WARM_UPS):
        run(callback)
    with pytest.raises(cancel):
        run(callback)
    assert not caplog.records


def test_launching_is_never_far_ahead():
    counter, recorder = torch.zeros(()), TapeRecorder(is_late=True)
    run = repeated(recorder, [], lambda _callback: counter.add_(1))
    for index in range(1, 20):
        run()
        assert recorder.replays == max(0, index - WARM_UPS)
        assert recorder.finished == max(0, recorder.replays - AHEAD)
        assert counter == min(index, WARM_UPS) + recorder.finished


def test_a_replay_calls_nothing_back_and_a_cancelled_one_leaves_the_next_picture(
    model, recorder, quick
):
    class StopError(Exception):
        pass

    class Stopping(Progress):
        checks = 0

        def advance(self, done: int, total: int) -> None:
            if done == 20:
                raise StopError

        def check_cancelled(self) -> None:
            self.checks += 1

    first, progress = generate(model, "a star", seeds=[7], sampling=quick), Stopping()
    checked = progress.checks
    with pytest.raises(StopError):
        generate(model, "a star", seeds=[8], sampling=quick, progress=progress)
    # The prompt, <image>, what is drawn before the recording, and the recording.
    assert progress.checks - checked == (3 + WARM_UPS) * model.config.language.num_layers
    assert same(generate(model, "a star", seeds=[7], sampling=quick), first)


def test_previews_of_a_replayed_picture_show_it(model, recorder, quick, monkeypatch):
    class Painter(Progress):
        def __init__(self) -> None:
            self.images: list[Tensor] = []

        def drawing(self, preview) -> None:
            if preview.num_paintable and preview.num_paintable % 12 == 0:
                self.images.append(preview.paint())

    replayed, plain = Painter(), Painter()
    generate(model, "a star", seeds=[7], sampling=quick, progress=replayed)
    assert recorder.replays
    monkeypatch.setattr("ming_core.univision.drawing.recorder_for", lambda _device: None)
    generate(model, "a star", seeds=[7], sampling=quick, progress=plain)
    assert len(replayed.images) == len(plain.images) > 2
    assert all(torch.equal(a, b) for a, b in zip(replayed.images, plain.images, strict=True))
