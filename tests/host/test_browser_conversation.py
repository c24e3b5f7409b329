"""A conversation typed into the sidebar: drawn, edited, asked, branched, kept, named, exported.

On the bundled model, in both renderers, beside another pack whose script fails wherever it can.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import BROKEN_PACK, CLASSIC, NODES_2, Browser
from PIL import Image

from ming_cli.__main__ import main
from ming_core import load_context

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

TAB = "Workspace.ToggleSidebarTab.ming-univision-timeline"
SIDE = ".ming-in-sidebar "
DRAW = "A large red circle in the centre on a blue background."
SHOW_SIDEBAR = """
if (!document.querySelector('.ming-composer')) app.extensionManager.command.execute(given[0]);
await wait(700);
"""
# The model that comes with the pack: the tests' own base folder also holds a random one.
USE_BUNDLED = """
const loader = LiteGraph.createNode('MingUniVision_LoadModel');
loader.pos = [40, 80];
loader.widgets.find((each) => each.name === 'checkpoint').value = 'bundled';
app.graph.add(loader);
"""
ENDED = """
const end = Date.now() + 110000;
do await wait(200);
while (!document.querySelector('.ming-composer [data-action=stop]').hidden && Date.now() < end);
await wait(500);
return document.querySelector('.ming-bubble').textContent;
"""
NODES = "return app.graph.nodes.map((node) => node.type.replace('MingUniVision_', '')).sort()"
STEPS = """
const steps = app.graph.nodes.filter((node) => node.type.endsWith(given[0]));
return steps.map((node) => [node.getInputNode(node.findInputSlot('context'))?.type ?? null,
  node.widgets.find((each) => each.name === 'seed').value]);
"""


GIVE = """
const [kind, name, type] = given;
const canvas = Object.assign(document.createElement('canvas'), { width: 96, height: 96 });
const pen = canvas.getContext('2d');
pen.fillStyle = '#ffffff';
pen.fillRect(0, 0, 96, 96);
pen.fillStyle = '#d82020';
pen.fillRect(32, 32, 32, 32);
const blob = await new Promise((resolve) => canvas.toBlob(resolve));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([blob], name, { type }));
const how = { bubbles: true, cancelable: true };
const event = kind === 'drop' ? new DragEvent('drop', { dataTransfer, ...how })
  : new ClipboardEvent('paste', { clipboardData: dataTransfer, ...how });
document.querySelector('.ming-line').dispatchEvent(event);
await wait(1500);
"""
DRAWN_SEEDS = """
const step = app.graph.nodes.filter((node) => node.type.endsWith('EditStep'))[given[0]];
const drawn = document.querySelectorAll(`[data-node-id="${step.id}"] input`);
return [...drawn].map((input) => input.value);
"""
WIRES = """
return app.graph.nodes.flatMap((node) => (node.inputs ?? []).map(({ name }, i) =>
  `${node.id} ${node.type} ${name} ${node.getInputNode(i)?.id ?? ''}`));
"""
ASKED_FOR_PREVIEWS = """
const history = await (await fetch('/history?max_items=1')).json();
return Object.values(history)[0].prompt[3].preview_method;
"""
SHOWN = """
const drawn = [...document.querySelectorAll(given[0])];
await Promise.all(drawn.map((each) => ((each.loading = 'eager'), each.decode())));
return drawn.map((each) => each.naturalWidth);
"""


@pytest.fixture(params=[CLASSIC, NODES_2], scope="module")
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Browser]:
    """An empty canvas with the sidebar open."""
    browser.use(request.param)
    browser.load({"nodes": [], "links": [], "groups": [], "version": 0.4})
    browser.run(SHOW_SIDEBAR, TAB)
    browser.run(USE_BUNDLED)
    browser.run(BROKEN_PACK)
    browser.renderer = request.param
    yield browser
    browser.open()
    browser.errors()


def line(browser: Browser) -> Any:
    return browser.find(".ming-line")[0]


def typed(browser: Browser, words: str, *before: str) -> str:
    """Type a line, press Enter, wait for the end; return what the bubble says then."""
    from selenium.webdriver.common.keys import Keys

    line(browser).click()
    browser.press(*before, words, Keys.ENTER)
    return browser.run(ENDED)


def chord(browser: Browser, *keys: str) -> None:
    """Press the last key while the others are held."""
    from selenium.webdriver.common.action_chains import ActionChains

    actions = ActionChains(browser.driver)
    for held in keys[:-1]:
        actions.key_down(held)
    actions.send_keys(keys[-1])
    for held in keys[:-1]:
        actions.key_up(held)
    actions.perform()
    browser.run("await wait(400)")


def labels(browser: Browser) -> list[str]:
    return [card.get_attribute("aria-label") for card in browser.find(f"{SIDE}.ming-turn")]


def name_branch(browser: Browser, name: str) -> None:
    """Name the branch of the current turn, from the line on by keys alone."""
    from selenium.webdriver.common.keys import Keys

    line(browser).click()
    chord(browser, Keys.SHIFT, Keys.TAB)
    browser.press("n", name, Keys.ENTER)
    browser.run("await wait(300)")


def downloaded(folder: Path, pattern: str) -> Path:
    """Wait for a file that the browser downloads."""
    deadline = time.monotonic() + 60
    while not (found := list(folder.glob(pattern))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found[0]


def mode(browser: Browser) -> str:
    return browser.find(".ming-composer [data-action=mode]")[0].text


def test_a_line_draws_on_an_empty_canvas_and_the_next_one_edits(page: Browser):
    assert typed(page, DRAW) == ""
    assert page.run(ASKED_FOR_PREVIEWS) == "auto", "the host's own default is none"
    assert [label.split(",")[0] for label in labels(page)] == ["Turn 1"]
    assert typed(page, "Change the colour of the circle to green.") == ""
    assert labels(page)[1] == "Turn 2, Change the colour of the circle to green."
    page.shoot(f"conversation {page.renderer} two lines")
    kinds = page.run(NODES)
    assert kinds == sorted(
        [
            "LoadModel",
            "Generate",
            "EditStep",
            "ContextTimeline",
            *2 * ["PixelDecode", "PreviewImage"],
        ]
    )
    drawn = page.run(SHOWN, f"{SIDE}img")
    assert len(drawn) == 2 and all(drawn)


def test_what_is_wanted_is_guessed_and_one_key_changes_it(page: Browser):
    from selenium.webdriver.common.keys import Keys

    line(page).click()
    guesses = {}
    for words in ("What colour is it?", "Make it blue", "Draw a star", "\u753b\u4e00\u4e2a\u5706"):
        line(page).send_keys(words)
        guesses[words] = mode(page)
        line(page).send_keys(Keys.CONTROL, "a")
        line(page).send_keys(Keys.DELETE)
    assert list(guesses.values()) == ["Ask", "Edit", "Draw", "Draw"]
    before = mode(page)
    line(page).send_keys(Keys.ALT, "m")
    assert mode(page) != before
    line(page).send_keys("x", Keys.BACKSPACE)
    assert mode(page) == before, "a new line is guessed anew"


def test_a_question_is_answered_and_does_not_stand_between_edits(page: Browser):
    assert typed(page, "What colour is the circle?") == ""
    card = page.find(f"{SIDE}.ming-turn")[2]
    assert "What colour is the circle?" in card.text and "green" in card.text
    assert typed(page, "Change the background to yellow.") == ""
    assert labels(page)[3] == "Turn 4, Change the background to yellow."
    assert "not remembered" in page.find(f"{SIDE}.ming-turn")[0].text
    (timeline,) = [node for node in page.run(NODES) if node == "ContextTimeline"]


def test_a_reply_to_an_earlier_turn_makes_a_branch(page: Browser):
    page.find(f"{SIDE}.ming-turn")[0].find_element("css selector", "header").click()
    page.run("await wait(300)")
    assert "turn 1" in page.find(".ming-hint")[0].text
    assert typed(page, "Change the background to white.") == ""
    assert any("Branch 2" in label and "white" in label for label in labels(page))
    name_branch(page, "<b>white</b> one")
    assert any("<b>white</b> one, Change the background" in label for label in labels(page))
    page.shoot(f"conversation {page.renderer} branch")
    page.find(".ming-composer [data-action=undo]")[0].click()
    page.run("await wait(400)")
    assert not any("white" in label for label in labels(page))
    assert line(page).get_attribute("value") == "Change the background to white."


def test_one_of_four_is_kept_and_undo_brings_the_others_back(page: Browser):
    from selenium.webdriver.common.keys import Keys

    before = labels(page)
    line(page).clear()
    line(page).click()
    page.press("Change the circle to a star.")
    chord(page, Keys.ALT, Keys.ENTER)
    assert "Keep 4" in page.run(ENDED)
    drawn = page.run(SHOWN, ".ming-bubble img")
    assert len(drawn) == 4 and all(drawn)
    assert len({seed for _, seed in page.run(STEPS, "EditStep")[-4:]}) == 4
    tries = labels(page)
    assert len(tries) == len(before) + 4
    wires = sorted(page.run(WIRES))
    page.shoot(f"conversation {page.renderer} four")
    chord(page, Keys.ALT, "3")
    kept = labels(page)
    assert kept == [*before, f"Turn {len(before) + 1}, Change the circle to a star."]
    page.find(".ming-composer [data-action=undo]")[0].click()
    page.run("await wait(400)")
    assert labels(page) == tries and sorted(page.run(WIRES)) == wires
    chord(page, Keys.SHIFT, Keys.TAB)  # over the pictures, to the turns
    for _ in range(4):
        chord(page, Keys.SHIFT, Keys.TAB)
    page.press("k")
    page.run("await wait(400)")
    assert labels(page) == kept
    before = page.run(STEPS, "EditStep")
    page.find(".ming-composer [data-action=retry]")[0].click()
    assert page.run(ENDED) == ""
    after = page.run(STEPS, "EditStep")
    (place,) = (i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other)
    drawn = page.run(DRAWN_SEEDS, place)
    assert not drawn or str(after[place][1]) in drawn, "Nodes 2.0 shows the new seed"
    assert labels(page) == kept


def test_what_the_small_model_was_never_taught_is_said_below_the_turns(page: Browser):
    for words in ("Change the circle to an elephant.", "Where is the elephant?"):
        assert "Not among its words: elephant." in typed(page, words)
        card = page.find(f"{SIDE}.ming-turn[aria-current=true]")[0].get_attribute("textContent")
        line_above = page.find(".ming-composer")[0].rect["y"]
        assert words in card and "Not among" not in card
        current = page.find(f"{SIDE}.ming-turn[aria-current=true]")[0].rect
        assert current["y"] + current["height"] <= line_above + 1, "nothing lies over the new turn"
        page.find(".ming-composer [data-action=undo]")[0].click()
        page.run("await wait(400)")
        line(page).clear()


def test_whoever_opens_the_saved_file_sees_the_same_conversation_and_its_name(page: Browser):
    from selenium.webdriver.common.keys import Keys

    name_branch(page, "\u591c night")
    before = labels(page)
    assert all("\u591c night" in label for label in before)
    saved = json.loads(page.run("return JSON.stringify(app.graph.serialize())"))
    page.open()
    page.load(saved)
    if not page.find(".ming-composer"):  # a page opens with the tab that was open
        chord(page, Keys.ALT, Keys.SHIFT, "u")
    page.run("await wait(700)")
    page.run(BROKEN_PACK)
    assert labels(page) == before
    sent = page.run("return (await app.graphToPrompt()).output")
    assert {node["class_type"] for node in sent.values()} >= {"MingUniVision_EditStep"}


def test_turns_are_exported_as_pictures_as_a_workflow_and_as_a_context(
    page: Browser, tmp_path: Path
):
    from selenium.webdriver.common.keys import Keys

    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    page.find(f"{SIDE}.ming-turn")[1].find_element("css selector", "header").click()
    page.press("x", Keys.ENTER)
    strip = Image.open(downloaded(tmp_path, "ming turns 1-2.png"))
    assert strip.width == 16 + 2 * (224 + 16) and strip.height > 16 + 224
    page.shoot(f"conversation {page.renderer} export")
    page.press(Keys.TAB, Keys.ENTER)
    workflow = downloaded(tmp_path, "ming turns 1-2.json")
    kinds = sorted(node["type"] for node in json.loads(workflow.read_text())["nodes"])
    steps = ["EditStep", "Generate", "LoadModel", "PixelDecode", "PixelDecode", "ContextTimeline"]
    ours = [f"MingUniVision_{kind}" for kind in steps]
    assert kinds == sorted([*ours, "PreviewImage", "PreviewImage"])
    page.press(Keys.TAB, Keys.ENTER)
    context = load_context(downloaded(tmp_path, "context_*.mingctx.safetensors"))
    assert len(context.turns) == 2
    page.press(Keys.ESCAPE)
    server = f"http://127.0.0.1:{page.server.port}"
    assert main(["run", str(workflow), "--server", server, "--output", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_what_the_server_refuses_is_told_in_the_bubble(page: Browser):
    page.run(
        "const node = app.graph.nodes.find((each) => each.type.endsWith('LoadModel'));"
        "const widget = node.widgets.find((each) => each.name === 'checkpoint');"
        "widget.kept = widget.value; widget.value = 'gone';"
    )
    said = typed(page, "Remove the circle.")
    assert "checkpoint" in said or "gone" in said
    page.find(".ming-composer [data-action=undo]")[0].click()
    page.run(
        "const node = app.graph.nodes.find((each) => each.type.endsWith('LoadModel'));"
        "const widget = node.widgets.find((each) => each.name === 'checkpoint');"
        "widget.value = widget.kept; document.querySelector('[role=dialog] button')?.click();"
    )


def test_a_picture_that_is_dropped_or_pasted_is_what_the_next_line_is_about(page: Browser):
    before = page.run("return app.graph.nodes.length")
    page.run(GIVE, "drop", "dropped.txt", "text/plain")
    assert "PNG" in page.find(".ming-bubble")[0].text
    page.run(GIVE, "drop", "dropped.png", "image/png")
    assert "dropped" in page.find(".ming-hint")[0].text
    page.run(GIVE, "paste", "pasted.png", "image/png")
    assert "pasted" in page.find(".ming-hint")[0].text
    assert page.run("return app.graph.nodes.length") == before, "not on the canvas"
    assert typed(page, "What colour is the square?") == ""
    asked = [card.text for card in page.find(f"{SIDE}.ming-turn")]
    assert any("What colour is the square?" in card and "red" in card for card in asked)


def test_escape_cancels_and_leaves_the_nodes_and_words_are_never_markup(page: Browser):
    from selenium.webdriver.common.keys import Keys

    before = page.run("return app.graph.nodes.length")
    line(page).click()
    hostile = "Draw <img src=x onerror='window.wasFooled=1'>"
    page.press(hostile, Keys.ENTER, Keys.ESCAPE)
    assert "Cancelled" in page.run(ENDED)
    assert not page.run("return !!window.wasFooled")
    assert page.run("return app.graph.nodes.length") > before
    page.find(".ming-composer [data-action=undo]")[0].click()
    page.run("await wait(300)")
    assert page.run("return app.graph.nodes.length") == before


def test_two_branches_are_wiped_over_each_other(page: Browser):
    page.run("app.extensionManager.command.execute('MingUniVision.CompareBranches')")
    page.run("await wait(800)")
    (slider,) = page.find("dialog.ming-dialog input[type=range]")
    page.run("given[0].value = 80; given[0].dispatchEvent(new Event('input'));", slider)
    shown = "return getComputedStyle(document.querySelector('.ming-wipe img + img')).clipPath"
    assert "20%" in page.run(shown)
    page.shoot(f"conversation {page.renderer} wiped")
    page.run("document.querySelector('dialog.ming-dialog').close()")
