"""The drawing of a conversation, alone and through its node."""

import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

FILE = Path(__file__).parents[2] / "nodes" / "timeline.py"


@pytest.fixture(scope="module")
def timeline():
    """The module alone: it needs neither the host nor the engine."""
    spec = importlib.util.spec_from_file_location("ming_timeline_alone", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def red(size=(64, 64)):
    return Image.new("RGB", size, (255, 0, 0))


def num_red(sheet):
    return sum(count for count, colour in sheet.getcolors(1 << 20) if colour == (255, 0, 0))


def test_thumbnails_are_shown_on_both_sides(timeline):
    without = timeline.draw_timeline([timeline.Card([None], ["a"], "f")], "t")
    one = timeline.draw_timeline([timeline.Card([red()], ["a"], "f")], "t")
    two = timeline.draw_timeline([timeline.Card([red()], [red((10, 200))], "f")], "t")
    assert num_red(without) == 0 < num_red(one) < num_red(two)
    assert one.size == without.size


def test_the_sheet_grows_with_the_conversation_but_not_in_width(timeline):
    card = timeline.Card(["asked"], ["replied"], "facts")
    sheets = [timeline.draw_timeline([card] * n, "t") for n in (0, 1, 5)]
    assert len({sheet.width for sheet in sheets}) == 1
    assert sheets[0].height < sheets[1].height < sheets[2].height


def test_many_pictures_wrap_and_stay_inside(timeline):
    sheet = timeline.draw_timeline([timeline.Card([red()] * 9, [], "f")], "t")
    columns = [x for x in range(sheet.width) if sheet.getpixel((x, 150)) == (255, 0, 0)]
    assert columns and max(columns) < sheet.width - timeline.MARGIN - timeline.PAD
    assert num_red(sheet) == 9 * timeline.THUMBNAIL**2


@pytest.mark.parametrize("text", ["word " * 400, "字" * 900, "x" * 5000, "a\n\nb", "", " \n "])
def test_texts_are_broken_into_lines_that_fit(timeline, text):
    lines = list(timeline._wrapped(text, 17))
    font = timeline._font(17)
    assert all(font.getlength(line) <= timeline._text_width() for line in lines)
    kept = text.split()
    assert "".join(lines).replace(" ", "").startswith("".join(kept)[: timeline.MAX_CHARACTERS // 2])
    timeline.draw_timeline([timeline.Card([text], [text], text)], text[:20])


def test_a_font_without_chinese_is_not_taken(timeline, monkeypatch, tmp_path):
    from PIL import ImageFont

    plain = tmp_path / "plain.ttf"
    plain.write_bytes(ImageFont.load_default(20).font_bytes)
    monkeypatch.setattr(timeline, "FONTS", (str(plain), str(tmp_path / "missing.ttf")))
    timeline.find_font.cache_clear()
    assert timeline.find_font() is None
    timeline.find_font.cache_clear()


@pytest.mark.runtime
class TestNode:
    """Context Timeline on the host's side."""

    def test_the_conversation_becomes_a_png_with_the_workflow_in_it(
        self, pack, model, context, folders
    ):
        node = pack.nodes["ContextTimeline"]
        hidden = importlib.import_module("comfy_api.latest").io.Hidden
        clone = node.PREPARE_CLASS_CLONE(
            {"hidden_inputs": {hidden.prompt: {"1": {}}, hidden.extra_pnginfo: {"workflow": [7]}}}
        )
        ui = clone.EXECUTE_NORMALIZED(context=context, model=model).ui
        (file,) = ui["ming_sheet"]
        picture = Image.open(folders / file["type"] / file["subfolder"] / file["filename"])
        assert picture.width == 960
        assert json.loads(picture.text["workflow"]) == [7]
        assert json.loads(picture.text["prompt"]) == {"1": {}}

    def test_without_a_model_pictures_are_frames(self, pack, context, folders, model):
        drawn = []
        for given in (None, model):
            ui = pack.run("ContextTimeline", context=context, model=given).ui
            path = folders / "temp" / ui["ming_sheet"][0]["filename"]
            drawn.append(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
        assert drawn[0].size == drawn[1].size
        assert drawn[0].tobytes() != drawn[1].tobytes()

    def test_seed_settings_and_lengths_are_told(self, pack, context):
        node = importlib.import_module(f"{pack.module.__name__}.nodes.context_timeline")
        facts = list(node._facts(context.turns[-1]))
        turn = context.turns[-1]
        assert facts[0] == f"{turn.num_prompt_tokens} + {turn.num_reply_tokens} tokens"
        assert {"seed 0", "steps 2", "solver euler", "text guidance 3.0"} <= set(facts)
