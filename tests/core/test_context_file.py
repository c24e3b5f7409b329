"""Contexts in files: bit for bit, whole or not at all, and every damage named."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ming_core import (
    ContextError,
    ImageSampling,
    LatentContext,
    MingModel,
    Reply,
    TextSampling,
    Window,
    describe,
    edit,
    encode_image,
    expand,
    generate,
    load_context,
    load_model,
    save_context,
    trim,
)
from ming_core.univision.context_header import YOUNGER

KEY = "ming_context"


@pytest.fixture(scope="module")
def long(model: MingModel, shown) -> LatentContext:
    """Three turns: given and drawn pictures, Chinese, markup, every kind of setting."""
    odd = ImageSampling(
        steps=1, solver="ab2", text_guidance=2.5, image_guidance=1.7, time_shift=0.3, renorm=True
    )
    first = edit(model, "把天空变成紫色 🟣\n<image>", seed=2**64 - 1, sampling=odd, features=shown)
    words = TextSampling(max_tokens=5, temperature=0.7, top_p=0.9, top_k=40, seed=3)
    asked = describe(model, "画里有什么？", sampling=words, context=first.context)
    return generate(model, '\u2028 and a \\ "dog"', seeds=[4], sampling=odd, context=asked.context)[
        0
    ].context


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.mingctx.safetensors"


@pytest.fixture
def damage(long: LatentContext, path: Path):
    """Save the context with another header or other tensors; return what loading it says."""

    def refused(change, context: LatentContext = long) -> str:
        save_context(context, path)
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata())
        header, tensors = json.loads(metadata[KEY]), load_file(path)
        change(header, tensors)
        save_file(tensors, path, metadata={**metadata, KEY: json.dumps(header)})
        with pytest.raises(ContextError) as error:
            load_context(path)
        assert str(path) in str(error.value)
        return str(error.value)

    return refused


def test_a_context_comes_back_bit_for_bit(long: LatentContext, path: Path, digest):
    save_context(long, path)
    loaded = load_context(path)
    assert digest(loaded) == digest(long)
    assert loaded.turns[0].prompt_text == "把天空变成紫色 🟣\n<image>"
    assert loaded.turns[0].image_sampling == long.turns[0].image_sampling
    assert [t.shape for t in loaded.tensors()] == [t.shape for t in long.tensors()]
    save_context(loaded, path)
    assert digest(load_context(path)) == digest(long)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_contexts_keep_their_dtype(tiny: Path, path: Path, digest, quick, dtype):
    model = load_model(tiny, dtype=dtype)
    context = generate(model, "a star", seeds=[1], sampling=quick)[0].context
    assert context.segments[0].keys.dtype == dtype
    save_context(context, path)
    assert digest(load_context(path)) == digest(context)


def test_an_edit_of_a_loaded_context_is_the_edit_of_the_original(model, drawn, path, quick, digest):
    save_context(drawn.context, path)
    edits = [
        edit(model, "make it blue", seed=1, sampling=quick, context=context)
        for context in (drawn.context, load_context(path))
    ]
    assert digest(edits[0].context) == digest(edits[1].context)


def test_the_empty_context_and_an_empty_reply_are_kept(model, path, script, digest):
    empty = LatentContext(model.identity)
    save_context(empty, path)
    assert load_context(path) == empty
    script([])
    silent = describe(model, "?", sampling=TextSampling(max_tokens=3)).context
    assert silent.turns[0].num_reply_tokens == 0
    save_context(silent, path)
    assert digest(load_context(path)) == digest(silent)


def test_pictures_that_share_memory_are_saved(model: MingModel, path: Path, quick, digest, photo):
    both = expand(model, encode_image(model, torch.cat((photo, 1 - photo)), "edit"))
    context = generate(model, "mix", seeds=[1], sampling=quick, features=both)[0].context
    save_context(context, path)
    assert digest(load_context(path)) == digest(context)


def test_a_loaded_context_outlives_its_file(drawn: Reply, path: Path, digest):
    save_context(drawn.context, path)
    loaded = load_context(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert digest(loaded) == digest(drawn.context)


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_failing_save_leaves_the_old_file_and_no_rest(long, path, monkeypatch, step, digest):
    save_context(LatentContext("old"), path)

    def fail(*_args: object, **_options: object) -> None:
        if step == "write":
            path.with_name(path.name + ".part").write_text("half")
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr(Path, "write_bytes", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ContextError, match="No space left") as refused:
        save_context(long, path)
    assert str(path) in str(refused.value)
    monkeypatch.undo()
    assert load_context(path).model_identity == "old"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_cancelling_a_save_leaves_no_rest(long: LatentContext, path: Path, monkeypatch):
    def cancel(*_args: object, **_options: object) -> None:
        path.with_name(path.name + ".part").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", cancel)
    with pytest.raises(KeyboardInterrupt):
        save_context(long, path)
    assert not list(path.parent.iterdir())


def test_a_folder_that_is_not_there_is_named(long: LatentContext, path: Path):
    with pytest.raises(ContextError, match="nowhere"):
        save_context(long, path.parent / "nowhere" / path.name)


def test_saving_changes_nothing(long: LatentContext, path: Path, digest):
    before = digest(long)
    save_context(long, path)
    assert digest(long) == before


def test_a_missing_file_and_a_folder_are_refused(path: Path):
    for missing in (path, path.parent):
        with pytest.raises(ContextError, match="does not exist"):
            load_context(missing)


@pytest.mark.parametrize("kept", [0, 7, 50, 0.01, 0.6, -1])
def test_a_truncated_file_is_refused(long: LatentContext, path: Path, kept: float):
    save_context(long, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if 0 < kept < 1 else kept])
    with pytest.raises(ContextError) as refused:
        load_context(path)
    assert str(path) in str(refused.value)


def test_a_pickle_is_refused_and_not_read(path: Path):
    class Trap:
        def __reduce__(self):
            return Path.write_text, (path.with_name("sprung"), "x")

    torch.save({"trap": Trap()}, path)
    with pytest.raises(ContextError):
        load_context(path)
    assert not path.with_name("sprung").exists()


def test_a_safetensors_file_of_another_kind_is_refused(path: Path):
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ContextError, match=KEY):
        load_context(path)
    for header in ("{oops", "[1, 2]", '"text"', "null", "{}"):
        save_file({"a": torch.zeros(2)}, path, metadata={KEY: header})
        with pytest.raises(ContextError, match="damaged"):
            load_context(path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused_naming_both(damage, version: object):
    message = damage(lambda header, _tensors: header.update(version=version))
    assert f"version {version}" in message
    assert "version 1" in message


def test_tokens_moved_from_one_part_of_a_turn_to_the_other_are_noticed(damage):
    """The sum would still be right, but guidance would hide the wrong tokens."""

    def move(header: dict, _tensors: dict) -> None:
        header["turns"][1]["num_prompt_tokens"] += 1
        header["turns"][1]["num_reply_tokens"] -= 1

    assert "count" in damage(move)


@pytest.mark.parametrize(
    "change",
    [
        lambda h, _t: h["turns"][0].update(num_prompt_tokens=1),
        lambda h, _t: h["turns"].pop(),
        lambda h, _t: h.update(num_segments=4),
        lambda h, _t: h.update(num_segments=99),
        lambda h, _t: h.update(num_segments="six"),
        lambda h, _t: h.pop("model_identity"),
        lambda h, _t: h.pop("turns"),
        lambda h, _t: h.update(turns={"a": 1}),
        lambda h, _t: h["turns"][0]["parts"][0].pop("grid"),
        lambda h, _t: h["turns"][0]["parts"][0].update(grid=[]),
        lambda h, _t: h["turns"][0]["parts"][0].update(grid=[5, 6]),
        lambda h, _t: h["turns"][0]["parts"][0].update(picture="gone"),
        lambda h, _t: h["turns"][0]["image_sampling"].update(steps=0),
        lambda h, _t: h["turns"][0]["image_sampling"].update(steps="many"),
        lambda h, _t: h["turns"][0]["image_sampling"].update(unheard=1),
        lambda h, _t: h["turns"][1]["text_sampling"].update(top_p=7),
        lambda h, _t: h["turns"][0]["image_sampling"].update(steps=True),
        lambda h, _t: h["turns"][0]["image_sampling"].update(steps=1.5),
        lambda h, _t: h["turns"][0]["image_sampling"].update(renorm=1),
        lambda h, _t: h["turns"][0].update(image_sampling=[]),
        lambda h, _t: h["turns"][0].update(seed="7"),
        lambda h, _t: h["turns"][0].update(seed=True),
        lambda h, _t: h["turns"][0].update(num_prompt_tokens=10**18),
        lambda h, _t: h["turns"][0].update(num_prompt_tokens=-1),
        lambda h, _t: h["turns"][0].update(num_prompt_tokens=None),
        lambda h, _t: h["turns"][0]["parts"][0].update(grid=[1, 1]),
        lambda h, _t: h["turns"][0]["parts"][0].update(grid=[10**9, 10**9]),
        lambda h, _t: h["turns"][0]["parts"][0].update(grid=[-4, -4]),
        lambda h, _t: h["turns"][0]["parts"][0].update(grid=["4", "4"]),
        lambda h, _t: h["turns"][0]["parts"].append({"text": "\ud83d"}),
        lambda h, _t: h.update(odd=[[[[]]] * 3] * 3) or h.pop("num_segments"),
        lambda h, _t: h.update(version=10**400),
        lambda h, _t: h.update(turns=h["turns"] * 2),
        lambda _h, t: t.update(stray=torch.zeros(1)),
        lambda _h, t: t.update({"segment.1.values": t["segment.1.values"][:1].contiguous()}),
        lambda _h, t: t.update({"segment.1.values": t["segment.1.values"][:, :1].contiguous()}),
        lambda _h, t: t.update({"segment.1.keys": t["segment.1.keys"][..., :1].contiguous()}),
        lambda _h, t: t.update({"segment.1.keys": t["segment.1.keys"].half()}),
        lambda _h, t: t.update({"segment.1.keys": t["segment.1.keys"].int()}),
        lambda _h, t: t["segment.1.keys"].view(-1)[3:4].fill_(float("nan")),
        lambda _h, t: t["segment.1.values"].view(-1)[3:4].fill_(float("inf")),
        lambda _h, t: t["turn.0.parts.0"].view(-1)[3:4].fill_(float("nan")),
        lambda _h, t: t.update({"turn.0.parts.0": t["turn.0.parts.0"].double()}),
        lambda _h, t: t.update({"turn.0.parts.0": t["turn.0.parts.0"].repeat(2, 1, 1)}),
        lambda _h, t: t.pop("segment.2.keys"),
        lambda _h, t: t.update({"segment.2.keys": t["segment.2.keys"][:, :, :-1].contiguous()}),
        lambda _h, t: t.update({"segment.2.keys": t["segment.2.keys"][0].contiguous()}),
    ],
)
def test_a_damaged_header_or_a_lost_tensor_is_a_context_error(damage, change):
    damage(change)


@pytest.mark.parametrize(
    "frame",
    [
        {"height": 0, "width": 9, "fit": "pad"},
        {"height": 2**20, "width": 2**20, "fit": "pad"},
        {"height": -1, "width": -9, "fit": "pad"},
        {"height": 9.5, "width": 9, "fit": "pad"},
        {"height": 9, "width": 9, "fit": "stretch"},
        {"height": 9, "width": 9, "fit": ["pad"]},
        {"height": 9, "fit": "pad"},
        [9, 9, "pad"],
        "pad",
    ],
)
def test_a_damaged_frame_is_a_context_error(damage, frame):
    damage(lambda header, _t: header["turns"][0]["parts"][0].update(frame=frame))


@pytest.mark.parametrize(
    "change",
    [
        lambda h, _t: h["left_out"][1]["turn"]["reply_ids"].pop(),
        lambda h, _t: h["left_out"][1]["turn"].update(reply_ids={}),
        lambda h, _t: h["left_out"][0]["turn"].update(num_prompt_tokens=1),
        lambda h, _t: h["left_out"][2].update(before=2),
        lambda h, _t: h["left_out"][1].update(before=-1),
        lambda h, _t: h["left_out"].reverse(),
        lambda h, _t: h["left_out"][0].update(before=True),
        lambda h, _t: h["carried"].insert(0, {"text": "and"}),
        lambda h, _t: h["carried"].clear(),
        lambda h, t: (
            h["carried"].append(h["carried"][0] | {"picture": "carried.1"})
            or t.update({"carried.1": t["carried.0"].clone()})
        ),
    ],
)
def test_a_damaged_window_is_a_context_error(damage, model, long, shown, change):
    """Of what was said, the last drawing stays; a question about a picture came behind it."""
    words = TextSampling(max_tokens=3)
    asked = describe(model, "and this?", sampling=words, context=long, features=shown).context
    context = trim(model, asked, Window(1, questions=False))
    assert [gone.before for gone in context.left_out] == [0, 0, 1] and context.carried
    damage(change, context)


@pytest.mark.parametrize(
    ("turn", "kind", "setting"),
    [
        (turn, name, field.name)
        for turn, name, kind in (
            (0, "image_sampling", ImageSampling),
            (1, "text_sampling", TextSampling),
        )
        for field in fields(kind)
        if field.name not in YOUNGER
    ],
)
def test_a_setting_that_is_missing_is_not_taken_from_today(damage, turn, kind, setting):
    """It would load with the default of this version, and so say something else of the turn."""
    assert kind.split("_")[1] in damage(lambda h, _t: h["turns"][turn][kind].pop(setting)).lower()


def test_files_from_before_a_setting_was_there_load_as_what_they_were(long, path):
    """Turns of theirs were made as if it had been off, whatever it becomes by default."""
    save_context(long, path)
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata())
    header = json.loads(metadata[KEY])
    for turn in header["turns"]:
        for kind in ("image_sampling", "text_sampling"):
            for name in YOUNGER.keys() & (turn[kind] or {}).keys():
                assert turn[kind].pop(name) == YOUNGER[name]
    save_file(load_file(path), path, metadata={KEY: json.dumps(header)})
    for loaded, saved in zip(load_context(path).turns, long.turns, strict=True):
        assert loaded.image_sampling == saved.image_sampling
        assert loaded.text_sampling == saved.text_sampling


@pytest.mark.parametrize(
    "smaller",
    [
        lambda t: t[:1] if t.dim() == 4 else t,
        lambda t: t[:, :1] if t.dim() == 4 else t,
        lambda t: t[..., :1] if t.dim() == 4 else t,
        lambda t: t[..., :1] if t.dim() == 3 else t,
    ],
    ids=["layers", "heads", "channels", "picture channels"],
)
def test_a_context_that_agrees_with_itself_but_not_with_the_model_is_refused(
    model, long, path, quick, smaller
):
    """It would be repeated until it fits: a memory of something else, without a word."""
    save_context(long, path)
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata())
    tensors = {name: smaller(t).contiguous() for name, t in load_file(path).items()}
    save_file(tensors, path, metadata=metadata)
    loaded = load_context(path)
    with pytest.raises(ContextError, match="connected model remembers"):
        describe(model, "?", sampling=TextSampling(max_tokens=1), context=loaded)
    with pytest.raises(ContextError, match="connected model remembers"):
        edit(model, "bluer", seed=1, sampling=quick, context=loaded)


def test_a_context_of_another_model_is_refused_when_it_is_used(model, long, path, quick):
    save_context(long, path)
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata())
    header = json.loads(metadata[KEY]) | {"model_identity": "12345"}
    save_file(load_file(path), path, metadata={KEY: json.dumps(header)})
    with pytest.raises(ContextError, match="12345"):
        edit(model, "bluer", seed=1, sampling=quick, context=load_context(path))
