"""A conversation typed into the sidebar: drawn, edited, asked, branched, cancelled, undone.

On the bundled model, in both renderers, beside another pack whose script fails wherever it can.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from browser import CLASSIC, NODES_2, Browser

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


@pytest.fixture(params=[CLASSIC, NODES_2], scope="module")
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Browser]:
    """An empty canvas with the sidebar open."""
    browser.use(request.param)
    browser.load({"nodes": [], "links": [], "groups": [], "version": 0.4})
    browser.run(SHOW_SIDEBAR, TAB)
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


def labels(browser: Browser) -> list[str]:
    return [card.get_attribute("aria-label") for card in browser.find(f"{SIDE}.ming-turn")]


def mode(browser: Browser) -> str:
    return browser.find(".ming-composer [data-action=mode]")[0].text


def test_a_line_draws_on_an_empty_canvas_and_the_next_one_edits(page: Browser):
    page.run(USE_BUNDLED)
    assert typed(page, DRAW) == ""
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
    shown = """
    const drawn = [...document.querySelectorAll('.ming-in-sidebar img')];
    await Promise.all(drawn.map((each) => ((each.loading = 'eager'), each.decode())));
    return drawn.map((each) => each.naturalWidth);
    """
    assert len(page.run(shown)) == 2 and all(page.run(shown))


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
    page.shoot(f"conversation {page.renderer} branch")
    page.find(".ming-composer [data-action=undo]")[0].click()
    page.run("await wait(400)")
    assert not any("white" in label for label in labels(page))
    assert line(page).get_attribute("value") == "Change the background to white."


def test_another_try_has_another_seed(page: Browser):
    line(page).clear()
    before = page.run(STEPS, "EditStep")
    page.find(".ming-composer [data-action=retry]")[0].click()
    assert page.run(ENDED) == ""
    after = page.run(STEPS, "EditStep")
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


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


def test_the_graph_is_the_truth_after_reloading(page: Browser):
    before = labels(page)
    saved = json.loads(page.run("return JSON.stringify(app.graph.serialize())"))
    page.load(saved)
    page.run("await wait(800);")
    assert labels(page) == before
    sent = page.run("return (await app.graphToPrompt()).output")
    assert {node["class_type"] for node in sent.values()} >= {"MingUniVision_EditStep"}


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


def test_a_picture_that_is_dropped_is_what_the_next_line_is_about(page: Browser):
    page.run(
        """
        const canvas = Object.assign(document.createElement('canvas'), { width: 96, height: 96 });
        const pen = canvas.getContext('2d');
        pen.fillStyle = '#ffffff';
        pen.fillRect(0, 0, 96, 96);
        pen.fillStyle = '#d82020';
        pen.fillRect(32, 32, 32, 32);
        const blob = await new Promise((resolve) => canvas.toBlob(resolve));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([blob], 'dropped.png', { type: 'image/png' }));
        const drop = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector('.ming-composer').dispatchEvent(drop);
        await wait(1500);
        """
    )
    assert "dropped" in page.find(".ming-hint")[0].text
    assert typed(page, "What colour is the square?") == ""
    asked = [card.text for card in page.find(f"{SIDE}.ming-turn")]
    assert any("What colour is the square?" in card and "red" in card for card in asked)


def test_escape_cancels_and_leaves_the_nodes(page: Browser):
    from selenium.webdriver.common.keys import Keys

    before = page.run("return app.graph.nodes.length")
    line(page).click()
    page.press("Draw three small green stars.", Keys.ENTER, Keys.ESCAPE)
    assert "Cancelled" in page.run(ENDED)
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


def test_texts_are_never_markup(page: Browser):
    typed(page, "<img src=x onerror='window.wasFooled=1'>")
    assert not page.run("return !!window.wasFooled")
