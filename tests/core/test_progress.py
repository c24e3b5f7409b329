"""Progress is told token by token; cancelling at any point leaves nothing behind."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ming_core import (
    ImageSampling,
    MingModel,
    Progress,
    Reply,
    TextSampling,
    decode_pixels,
    describe,
    edit,
    generate,
    mark,
)
from ming_core.progress import Preview, ProgressBar

ONE_STEP = ImageSampling(steps=1)


class Recorder(Progress):
    """Notes every call; raises at the n-th one, if asked to."""

    def __init__(self, stop_at: int = 0) -> None:
        self.calls: list[tuple[int, int] | None] = []
        self.stop_at = stop_at

    @property
    def reports(self) -> list[tuple[int, int]]:
        return [call for call in self.calls if call is not None]

    def advance(self, done: int, total: int) -> None:
        self._note((done, total))

    def check_cancelled(self) -> None:
        self._note(None)

    def _note(self, call: tuple[int, int] | None) -> None:
        self.calls.append(call)
        if len(self.calls) == self.stop_at:
            raise InterruptedError


def counted(total: int) -> list[tuple[int, int]]:
    return [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
def test_forced_pictures_report_once_per_visual_token(model: MingModel, seeds: list[int]):
    recorder = Recorder()
    generate(model, "a star", seeds=seeds, sampling=ONE_STEP, progress=recorder)
    assert recorder.reports == counted(36)


def test_an_edit_with_its_region_is_one_stretch_of_two_pictures(model: MingModel, shown):
    recorder = Recorder()
    how = {"sampling": ONE_STEP, "features": shown, "progress": recorder}
    edit(model, "bluer", seed=1, show_region_first=True, **how)
    assert recorder.reports == counted(72)


def test_an_edit_where_a_mask_says_is_one_picture(model: MingModel, shown):
    recorder, marking = Recorder(), Recorder()
    marked = mark(model, torch.ones(96, 96), features=shown, progress=marking)
    how = {"sampling": ONE_STEP, "features": shown, "progress": recorder}
    edit(model, "bluer", seed=1, show_region_first=marked, **how)
    assert recorder.reports == counted(36)
    assert marking.reports == counted(marking.reports[-1][1])


def test_text_reports_once_per_token_and_ends_at_the_total(model: MingModel, script):
    letters = model.tokenizer.encode(["a"]) * 3
    script(letters)
    recorder = Recorder()
    describe(model, "what?", sampling=TextSampling(max_tokens=50), progress=recorder)
    assert recorder.reports == [(1, 50), (2, 50), (3, 50), (4, 50), (50, 50)]
    script(letters)
    recorder = Recorder()
    describe(model, "what?", sampling=TextSampling(max_tokens=3), progress=recorder)
    assert recorder.reports == counted(3)


def assert_sensible(reports: list[tuple[int, int]]) -> None:
    dones, totals = zip(*reports, strict=True)
    assert all(later > earlier for earlier, later in zip(dones, dones[1:], strict=False))
    assert all(later >= earlier for earlier, later in zip(totals, totals[1:], strict=False))
    assert all(done <= total for done, total in reports)
    assert dones[-1] == totals[-1]


def test_several_free_replies_never_pass_the_total_and_reach_it(model: MingModel):
    recorder = Recorder()
    text = TextSampling(max_tokens=12, temperature=1.0)
    generate(model, "hi", seeds=[1, 2, 3, 4], sampling=ONE_STEP, text=text, progress=recorder)
    assert_sensible(recorder.reports)


def test_pictures_in_free_replies_raise_the_total(model: MingModel, script):
    special = model.tokenizer
    script([special.image, special.image_end, special.eos, special.image, special.image_end])
    recorder = Recorder()
    text = TextSampling(max_tokens=10)
    generate(model, "hi", seeds=[1, 2], sampling=ONE_STEP, text=text, progress=recorder)
    assert_sensible(recorder.reports)
    assert recorder.reports[-1] == (20 + 72, 20 + 72)


def test_there_is_a_chance_to_cancel_in_every_layer(model: MingModel):
    recorder = Recorder()
    generate(model, "a star", seeds=[1], sampling=ONE_STEP, progress=recorder)
    layers = model.config.language.num_layers
    assert recorder.calls.count(None) == layers * (1 + 1 + 36 + 1)
    assert recorder.calls[:layers] == [None] * layers  # the prompt, before the first report


CANCEL_AT = {"prompt": 1, "prompt, second layer": 2, "image start": 3, "a token": 60, "late": 113}


@pytest.mark.parametrize("stop_at", [*CANCEL_AT.values(), -1], ids=[*CANCEL_AT, "the last call"])
def test_a_cancelled_edit_leaves_context_and_model_and_the_next_run_as_they_were(
    model: MingModel, drawn: Reply, digest, weights_digest, stop_at: int
):
    def run(recorder: Recorder) -> str:
        how = {"seed": 2, "sampling": ONE_STEP, "context": drawn.context}
        return digest(edit(model, "bluer", **how, progress=recorder).context)

    whole = Recorder()
    expected, before, weights = run(whole), digest(drawn.context), weights_digest(model)
    stop_at = stop_at if stop_at > 0 else len(whole.calls)
    assert stop_at <= len(whole.calls)
    with pytest.raises(InterruptedError):
        run(Recorder(stop_at))
    assert digest(drawn.context) == before
    assert weights_digest(model) == weights
    assert run(Recorder()) == expected


@pytest.mark.parametrize("stop_at", [1, 3, 8])
def test_cancelled_text_leaves_the_next_run_as_it_was(model, drawn: Reply, digest, stop_at: int):
    def run(recorder: Recorder) -> str:
        how = {"sampling": TextSampling(max_tokens=6), "context": drawn.context}
        return digest(describe(model, "what?", **how, progress=recorder).context)

    expected, before = run(Recorder()), digest(drawn.context)
    with pytest.raises(InterruptedError):
        run(Recorder(stop_at))
    assert digest(drawn.context) == before
    assert run(Recorder()) == expected


def test_a_bar_without_receiver_is_silent_and_one_that_counts_as_empty_is_told():
    ProgressBar(None, 3).update()

    class Empty(Recorder):
        def __len__(self) -> int:
            return 0

    empty = Empty()
    bar = ProgressBar(empty, 5)
    bar.update()
    bar.extend(2)
    bar.skip(0)
    bar.skip(6)
    assert empty.reports == [(1, 5), (7, 7)]


class Watcher(Recorder):
    """Takes up every offer of pictures or text, or cancels at one."""

    def __init__(self, cancel_at: int = 0) -> None:
        super().__init__()
        self.images: list[Tensor] = []
        self.counts: list[int] = []
        self.texts: list[str] = []
        self.cancel_at = cancel_at

    def drawing(self, preview: Preview) -> None:
        self.counts.append(preview.num_paintable)
        self.images.append(preview.paint())
        if len(self.images) == self.cancel_at:
            raise InterruptedError

    def writing(self, read: Callable[[], str]) -> None:
        self.texts.append(read())
        if len(self.texts) == self.cancel_at:
            raise InterruptedError


def test_a_picture_can_be_watched_row_by_row_without_changing_it(model: MingModel, digest):
    watcher, how = Watcher(), {"seeds": [1, 2], "sampling": ONE_STEP}
    watched = generate(model, "a star", **how, progress=watcher)
    plain = generate(model, "a star", **how)
    assert [digest(r.context) for r in watched] == [digest(r.context) for r in plain]
    assert watcher.counts == [2 * 6 * (count // 6) for count in range(1, 37)]
    for count, images in enumerate(watcher.images, start=1):
        assert images.shape == (2, 96, 96, 3)
        drawn = count // 6 * 16
        assert (images[:, drawn:] == 0.5).all()
        assert drawn == 0 or float(images[:, :drawn].std()) > 0.01
    for i, reply in enumerate(plain):
        assert torch.allclose(
            watcher.images[-1][i], decode_pixels(model, reply.features)[0], atol=1e-4
        )


def test_an_offer_not_taken_up_costs_no_painting(model: MingModel, watch):
    calls = watch(model.parts.pixel_decoder)
    generate(model, "a star", seeds=[1], sampling=ONE_STEP, progress=Recorder())
    assert not calls


def test_text_can_be_read_as_it_is_written(model: MingModel, script):
    script(model.tokenizer.encode(["a cat on"]))
    watcher = Watcher()
    reply = describe(model, "what?", sampling=TextSampling(max_tokens=20), progress=watcher)
    assert watcher.texts[-1] == reply.text == "a cat on"
    assert all(
        later.startswith(text)
        for text, later in zip(watcher.texts, watcher.texts[1:], strict=False)
    )


@pytest.mark.parametrize("cancel_at", [1, 20])
def test_an_offer_is_a_chance_to_cancel(model: MingModel, drawn: Reply, digest, cancel_at: int):
    before, how = digest(drawn.context), {"seed": 1, "sampling": ONE_STEP, "context": drawn.context}
    expected = digest(edit(model, "bluer", **how).context)
    with pytest.raises(InterruptedError):
        edit(model, "bluer", **how, progress=Watcher(cancel_at))
    assert digest(drawn.context) == before
    assert digest(edit(model, "bluer", **how).context) == expected
