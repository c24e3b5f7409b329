"""Checkpoints and saved contexts: found, chosen, refused, and noticed when they change."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

pytestmark = pytest.mark.runtime

AUTOS = ["auto", "auto: Ming-Lite-Uni"]


def node(pack, name):
    return pack.nodes[name]


def options(pack, name, widget):
    inputs = {i.id: i for i in node(pack, name).GET_SCHEMA().inputs}
    return inputs[widget].options


def test_checkpoints_are_offered_by_name_and_auto_comes_first(pack, checkpoint):
    offered = options(pack, "LoadModel", "checkpoint")
    assert offered[0] == "auto"
    assert checkpoint in offered


def test_a_name_from_the_list_is_its_folder(pack, folders, checkpoint):
    small = folders / "models" / "ming_univision" / "tiny" / "Ming-UniVision"
    assert pack.files.checkpoints().resolve(checkpoint) == small


def test_auto_takes_the_largest_checkpoint_that_is_whole(pack, folders, checkpoint, tmp_path):
    for name in ("large", "small"):
        shutil.copytree(folders / "models" / "ming_univision" / "tiny", tmp_path / name)
    more = tmp_path / "large" / "Ming-UniVision" / "more.safetensors"
    save_file({"more": torch.zeros(1 << 20)}, more)
    found = type(pack.files.checkpoints())((tmp_path,), tmp_path / "bundled")
    assert found.resolve("auto") == more.parent
    weights = next(path for path in more.parent.glob("*.safetensors") if path != more)
    weights.write_bytes(weights.read_bytes()[:-1])
    assert found.resolve("auto") == tmp_path / "small" / "Ming-UniVision"


def test_extra_model_folders_are_searched_too(pack, tmp_path, checkpoint, folders):
    import folder_paths

    shutil.copytree(folders / "models" / "ming_univision" / "tiny", tmp_path / "elsewhere")
    folder_paths.add_model_folder_path("ming_univision", str(tmp_path))
    try:
        assert "elsewhere/Ming-UniVision" in options(pack, "LoadModel", "checkpoint")
        assert (
            node(pack, "LoadModel").validate_inputs(checkpoint="elsewhere/Ming-UniVision") is True
        )
    finally:
        folder_paths.folder_names_and_paths["ming_univision"][0].remove(str(tmp_path))


def test_without_a_checkpoint_the_error_says_what_to_put_where(pack, tmp_path, monkeypatch):
    folders = type(pack.files.checkpoints())((tmp_path / "models",), tmp_path / "bundled")
    monkeypatch.setattr(pack.files, "checkpoints", lambda: folders)
    problem = node(pack, "LoadModel").validate_inputs(checkpoint="auto")
    for words in (str(tmp_path / "models"), "38 GB", "MingTok-Vision", "licence", "inclusionAI"):
        assert words in problem
    with pytest.raises(pack.core.CheckpointError, match="38 GB"):
        pack.run("LoadModel")


def test_the_bundled_model_is_the_last_resort(pack, tmp_path, checkpoint, folders, monkeypatch):
    bundled = tmp_path / "bundled"
    shutil.copytree(folders / "models" / "ming_univision" / "tiny", bundled)
    found = type(pack.files.checkpoints())((tmp_path / "models",), bundled)
    monkeypatch.setattr(pack.files, "checkpoints", lambda: found)
    assert options(pack, "LoadModel", "checkpoint") == [*AUTOS, "bundled"]
    assert found.resolve("auto") == found.resolve("bundled") == bundled
    assert pack.run("LoadModel")[0].engine.identity


@pytest.fixture
def broken(pack, tmp_path, folders, checkpoint, monkeypatch):
    """A root whose only checkpoint has a config nobody can read, and a bundled model."""
    bundled, root = tmp_path / "bundled", tmp_path / "models"
    shutil.copytree(folders / "models" / "ming_univision" / "tiny", bundled)
    shutil.copytree(bundled, root / "real")
    (root / "real" / "Ming-UniVision" / "config.json").write_text("[" * 100_000)
    found = type(pack.files.checkpoints())((root,), bundled)
    monkeypatch.setattr(pack.files, "checkpoints", lambda: found)
    return found


def test_a_checkpoint_that_cannot_be_read_is_left_out_and_named(pack, broken, caplog):
    assert options(pack, "LoadModel", "checkpoint") == [*AUTOS, "bundled"]
    options(pack, "LoadModel", "checkpoint")
    [line] = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert str(Path("real", "Ming-UniVision", "config.json")) in line and "nested" in line
    assert "nested" in broken.problem("real/Ming-UniVision")


def test_auto_says_that_it_took_the_bundled_model_in_place_of_a_broken_one(
    pack, broken, monkeypatch, caplog
):
    told = []
    monkeypatch.setattr(pack.progress.HostProgress, "say", lambda _self, text: told.append(text))
    assert pack.run("LoadModel")[0].engine.identity
    assert "bundled" in told[-1] and "real" in told[-1] and told[-1] in caplog.text
    told.clear()
    pack.run("LoadModel", checkpoint="bundled")
    assert not any("real" in text for text in told)


def test_the_pack_loads_whatever_goes_wrong_with_the_lists(pack, monkeypatch, caplog):
    def fail(_self):
        raise RuntimeError("of any kind")

    for kind in ("checkpoints", "contexts"):
        monkeypatch.setattr(type(getattr(pack.files, kind)()), "choices", fail)
    assert options(pack, "LoadModel", "checkpoint") == ["auto"]
    assert options(pack, "LoadContext", "file") == []
    assert "of any kind" in caplog.text


@pytest.mark.parametrize("value", [["a"], {"a": 1}, None, 7, "x" * 100_000, "\ud83d", "a\0b"])
def test_odd_values_of_a_choice_are_refused_in_short(pack, value, folders):
    for name, widget in (("LoadContext", "file"), ("PromptList", "file")):
        problem = node(pack, name).validate_inputs(**{widget: value})
        given = {"prompts": "a"} if name == "PromptList" else {}
        node(pack, name).fingerprint_inputs(**{widget: value}, **given)
        if value is not None:  # the host hands None for a link, whose value comes later
            assert problem is not True and len(problem) < 500


@pytest.mark.parametrize("name", ["../outside", "/etc", "missing", "tiny/../../x"])
def test_a_checkpoint_that_was_not_found_cannot_be_named(pack, checkpoint, name):
    problem = node(pack, "LoadModel").validate_inputs(checkpoint=name)
    assert repr(name) in problem and checkpoint in problem


def test_a_replaced_checkpoint_is_noticed(pack, folders, checkpoint):
    load = node(pack, "LoadModel")
    file = folders / "models" / "ming_univision" / "tiny" / "MingTok-Vision" / "config.json"
    before = load.fingerprint_inputs(checkpoint=checkpoint, precision="auto")
    assert load.fingerprint_inputs(checkpoint=checkpoint, precision="auto") == before
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))
    assert load.fingerprint_inputs(checkpoint=checkpoint, precision="auto") != before
    assert "was found" in load.fingerprint_inputs(checkpoint="missing", precision="auto")


def test_a_saved_context_comes_back_and_goes_on_as_the_original(pack, model, context):
    saved = [pack.run("SaveContext", context=context)[0] for _ in range(2)]
    assert [name.split("_")[-2] for name in saved] == ["00001", "00002"]
    assert set(saved) <= set(options(pack, "LoadContext", "file"))
    loaded = pack.run("LoadContext", file=saved[0])[0]
    edits = [
        pack.run("EditStep", model=model, instruction="red", steps=2, context=start)[1].values
        for start in (context, loaded)
    ]
    assert torch.equal(*edits)


@pytest.mark.parametrize("name", [None, 5, "../x", ""])
def test_a_choice_that_is_none_is_refused_by_a_sentence(pack, name):
    with pytest.raises(pack.core.CheckpointError, match="No checkpoint named"):
        pack.files.checkpoints().resolve(name)


def test_nothing_unfinished_stays_when_saving_fails(pack, folders, context, monkeypatch):
    write = Path.write_bytes

    def fail(path, content):
        write(path, content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(pack.core.MingError, match="(?s)full/x.*disk full"):
        pack.run("SaveContext", context=context, filename_prefix="full/x")
    assert list((folders / "output" / "full").iterdir()) == []


def test_a_context_in_the_input_folder_is_offered_without_a_mark(pack, folders, context):
    saved = pack.run("SaveContext", context=context, filename_prefix="c")[0]
    target = folders / "input" / "shared.mingctx.safetensors"
    shutil.copyfile(folders / "output" / saved.removesuffix(" [output]"), target)
    assert target.name in options(pack, "LoadContext", "file")
    load = node(pack, "LoadContext")
    assert load.validate_inputs(file=target.name) is True
    before = load.fingerprint_inputs(file=target.name)
    os.utime(target, ns=(0, 0))
    assert load.fingerprint_inputs(file=target.name) != before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.mingctx.safetensors", "Save Latent Context"),
        ("../x.mingctx.safetensors", "not a saved context"),
        ("../x.mingctx.safetensors [output]", "not a saved context"),
        ("/etc/passwd", "not a saved context"),
    ],
)
def test_a_file_that_is_no_saved_context_is_refused(pack, name, words):
    assert words in node(pack, "LoadContext").validate_inputs(file=name)


def test_a_prefix_that_leaves_the_output_folder_is_refused(pack, context):
    with pytest.raises(Exception, match="outside the output folder"):
        pack.run("SaveContext", context=context, filename_prefix="../x")


def test_a_saved_context_shows_its_last_picture_when_a_model_is_connected(
    pack, folders, model, context
):
    from PIL import Image

    ui = pack.run("SaveContext", context=context, model=model).ui
    (entry,) = ui["images"]
    with Image.open(folders / entry["type"] / entry["filename"]) as picture:
        assert max(picture.size) <= 256 and len(picture.getcolors(1 << 16)) > 100
    assert len(ui["text"]) == 1


def test_without_a_model_its_turns_are_listed(pack, context, monkeypatch):
    said = []
    monkeypatch.setattr(pack.progress.HostProgress, "say", lambda self, text: said.append(text))
    ui = pack.run("SaveContext", context=context).ui
    assert set(ui) == {"text"}
    assert said == [f"{ui['text'][0]}\n1. a blue cat -> picture"]


def test_a_model_that_did_not_make_the_context_is_refused_before_anything_is_written(
    pack, folders, checkpoint, context
):
    from ming_bench.tiny_checkpoint.make import make_tiny

    make_tiny(folders / "models" / "ming_univision" / "fourth", seed=4)
    other = pack.run("LoadModel", checkpoint="fourth/Ming-UniVision")[0]
    with pytest.raises(pack.core.ContextError, match="Connect the model it was made by"):
        pack.run("SaveContext", context=context, model=other, filename_prefix="refused/x")
    assert not (folders / "output" / "refused").exists()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_context_goes_on_in_another_precision_and_folder(
    pack, folders, checkpoint, context, precision
):
    source = folders / "models" / "ming_univision" / "tiny"
    moved = folders / "models" / "ming_univision" / f"moved_{precision}"
    shutil.copytree(source, moved)
    other = pack.run("LoadModel", checkpoint=f"{moved.name}/Ming-UniVision", precision=precision)[0]
    saved = pack.run("SaveContext", context=context)[0]
    loaded = pack.run("LoadContext", file=saved)[0]
    result = pack.run("EditStep", model=other, instruction="red", steps=2, context=loaded)
    assert result[1].values.isfinite().all()
    assert result[0].turns[:-1] == loaded.turns


@pytest.mark.parametrize("prefix", ["x" * 300, "../evil", "a\0b"], ids=["long", "outside", "nul"])
def test_a_prefix_nothing_can_be_saved_under_is_refused_in_words(pack, context, prefix):
    with pytest.raises(pack.core.MingError, match="Nothing can be saved under the prefix"):
        pack.run("SaveContext", context=context, filename_prefix=prefix)


def test_each_family_has_an_auto_of_its_own(pack, tmp_path, checkpoint):
    recorded = Path(__file__).parents[1] / "golden_lite" / "a" / "Ming-Lite-Uni"
    found = type(pack.files.checkpoints())((tmp_path / "models",), tmp_path)
    with pytest.raises(pack.core.CheckpointError, match="No checkpoint of Ming-Lite-Uni was found"):
        found.resolve("auto: Ming-Lite-Uni")
    shutil.copytree(recorded, tmp_path / "models" / "Ming-Lite-Uni")
    assert found.choices() == [*AUTOS, "Ming-Lite-Uni", "bundled"]
    assert found.resolve("auto") == tmp_path, "saved workflows go on with the first family"
    assert found.resolve("auto: Ming-Lite-Uni") == tmp_path / "models" / "Ming-Lite-Uni"


def test_a_model_of_another_family_is_refused_by_name(pack, tmp_path):
    recorded = Path(__file__).parents[1] / "golden_lite" / "a" / "Ming-Lite-Uni"
    model = pack.models.HostedModel(pack.core.load_model(recorded), {})
    with pytest.raises(pack.core.AbilityError, match="is Ming-Lite-Uni, which does not have a lat"):
        pack.run("Generate", model=model, prompt="a cat")
