"""The Context Timeline, clicked through: in the node, in the sidebar, by mouse and by keys.

In both renderers, on the frontend that ships with the host and on the newest one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import (
    BROKEN_PACK,
    CLASSIC,
    NODES_2,
    Browser,
)  # its folder is put on the path by conftest.py

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
TWO_EDITS = WORKFLOWS / "04 Two edits from one picture.json"
RESUME = WORKFLOWS / "08 Resume a saved context.json"
TAB = "Workspace.ToggleSidebarTab.ming-univision-timeline"
SIDE = ".ming-in-sidebar "
NODE = ".ming-in-node "
ADD_TIMELINES = """
const find = (end) => app.graph.nodes.filter((node) => node.type.endsWith(end));
const [model] = find('LoadModel');
find('EditStep').forEach((edit, i) => {
  const timeline = LiteGraph.createNode('MingUniVision_ContextTimeline');
  timeline.pos = [620 + 460 * i, -720];
  app.graph.add(timeline);
  timeline.setSize([420, 480]);
  edit.connect(0, timeline, 0);
  model.connect(0, timeline, 1);
});
"""
LOOK = """
app.canvas.ds.scale = 0.8;
app.canvas.centerOnNode(app.graph.nodes.findLast((node) => node.type.endsWith('Timeline')));
app.canvas.setDirty(true, true);
await wait(900);
"""
SHOW_SIDEBAR = """
if (!document.querySelector('.ming-in-sidebar')) app.extensionManager.command.execute(given[0]);
await wait(700);
"""
# Not scrollIntoView in a node: it would move everything behind the canvas as well.
SCROLL_TO = """
const [element] = given, feed = element.closest('.ming-feed');
if (element.closest('.ming-in-sidebar')) element.scrollIntoView({ block: 'center' });
else {
  const zoom = feed.getBoundingClientRect().height / feed.offsetHeight;
  const below = element.getBoundingClientRect().top - feed.getBoundingClientRect().top;
  feed.scrollTop += below / zoom - 20;
}
"""
FRAME = "Please generate the corresponding image based on the description. "
# Enter while a word is being chosen sends nothing.
TYPE_CHINESE = """
const line = document.querySelector('.ming-line');
const enter = (isComposing) => line.dispatchEvent(
  new KeyboardEvent('keydown', { key: 'Enter', isComposing, bubbles: true, cancelable: true }));
app.graph.clear();
line.value = '画一个红色的圆';
line.dispatchEvent(new InputEvent('input', { bubbles: true }));
const mode = document.querySelector('[data-action=mode]').textContent;
enter(true);
await wait(300);
const count = app.graph.nodes.length;
enter(false);
const stop = document.querySelector('[data-action=stop]');
for (let i = 0; i < 500 && (i < 5 || !stop.hidden); i++) await wait(200);
return [mode, count, document.querySelector('.ming-bubble').textContent];
"""
LAST_NODE = """
const node = app.graph.nodes.at(-1);
const from = (slot) => node.getInputNode(slot)?.title ?? null;
const origins = node.inputs.map((input, slot) => [input.name, from(slot)]);
return { count: app.graph.nodes.length, type: node.type, from: Object.fromEntries(origins) };
"""


@pytest.fixture(params=[CLASSIC, NODES_2], scope="module")
def place(request: pytest.FixtureRequest, any_browser: Browser) -> Iterator[tuple[Browser, str]]:
    """A browser in which two branches were drawn, each with a Timeline, and the sidebar open."""
    browser, renderer = any_browser, request.param
    browser.run(BROKEN_PACK)
    browser.use(renderer)
    browser.load(json.loads(TWO_EDITS.read_text(encoding="utf-8")))
    browser.run(ADD_TIMELINES)
    assert browser.queue() == "success"
    browser.run(SHOW_SIDEBAR, TAB)
    browser.run(LOOK)
    browser.errors()  # the other pack's
    shot = f"timeline {browser.name} {renderer}"
    browser.shoot(shot)
    yield browser, shot
    browser.open()  # without the broken pack, for whoever comes next
    browser.errors()


def labels(browser: Browser, where: str) -> list[str]:
    return [card.get_attribute("aria-label") for card in browser.find(f"{where}.ming-turn")]


def card(browser: Browser, where: str, number: int) -> Any:
    return browser.find(f"{where}.ming-turn")[number]


def focus(browser: Browser) -> str:
    return browser.run("return document.activeElement?.getAttribute('aria-label') ?? ''")


def status(browser: Browser, where: str = SIDE) -> str:
    return browser.find(f"{where}.ming-status")[0].text


def clicked(browser: Browser, where: str, number: int, action: str | None = None) -> None:
    element = card(browser, where, number)
    browser.run(SCROLL_TO, element)
    element.find_element("css selector", "header").click()
    if action:
        button = element.find_element("css selector", f"[data-action={action}]")
        browser.run(SCROLL_TO, button)
        button.click()
    browser.run("await wait(300);")


def test_the_sidebar_shows_common_turns_once_and_where_branches_split(place):
    browser, shot = place
    first, left, right = labels(browser, SIDE)
    assert first.startswith("Turn 1, Please generate")
    assert left == "Turn 2, Branch 1, Change the colour of the square to purple."
    assert right == "Turn 2, Branch 2, Change the background to yellow."
    assert "splits into 2 branches" in card(browser, SIDE, 0).text
    assert "seed 12" in card(browser, SIDE, 0).text and "steps 2" in card(browser, SIDE, 0).text
    assert "tokens" in card(browser, SIDE, 0).text
    drawn = browser.run(
        "return [...document.querySelectorAll('.ming-in-sidebar img')].map((i) => i.naturalWidth)"
    )
    assert len(drawn) == 3 and all(drawn)


def test_each_node_shows_its_own_conversation(place):
    browser, _ = place
    texts = browser.run(
        "return [...document.querySelectorAll('.ming-in-node')].map((n) => n.innerText)"
    )
    assert len(texts) == 2
    assert all("Please generate" in text and "splits into 2 branches" in text for text in texts)
    assert ["purple" in text for text in texts] == [True, False]
    heights = browser.run(
        "return [...document.querySelectorAll('.ming-in-node')].map((n) => n.offsetHeight)"
    )
    assert all(200 <= height <= 480 for height in heights), "it takes the room the node has"


def test_keys_move_through_the_turns(place):
    from selenium.webdriver.common.keys import Keys

    browser, _ = place
    clicked(browser, SIDE, 0)
    names = labels(browser, SIDE)
    visited = [focus(browser)]
    for key in (Keys.ARROW_DOWN, Keys.END, Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.HOME):
        browser.press(key)
        visited.append(focus(browser))
    assert visited == [names[i] for i in (0, 1, 2, 2, 1, 0)]
    tabbable = browser.find(f"{SIDE}.ming-turn[tabindex='0']")
    assert len(tabbable) == 1 and tabbable[0].get_attribute("aria-current") == "true"


@pytest.mark.parametrize("where", [SIDE, NODE], ids=["sidebar", "node"])
def test_the_prompt_is_copied(place, where: str):
    from selenium.webdriver.common.keys import Keys

    browser, _ = place
    clicked(browser, where, 0, "copy")
    assert status(browser, where) == "Prompt copied."
    read = "window.focus(); return await navigator.clipboard.readText()"
    assert browser.run(read).endswith("A large green square in the centre on a white background.")
    clicked(browser, where, 1)
    browser.press(Keys.ENTER)
    assert browser.run(read) == "Change the colour of the square to purple."


def test_two_branches_are_compared_side_by_side(place):
    from selenium.webdriver.common.keys import Keys

    browser, shot = place
    clicked(browser, SIDE, 2)
    browser.press("c")
    assert "marked" in status(browser)
    browser.press(Keys.ARROW_UP, "c")
    (dialog,) = browser.find("dialog.ming-dialog[open]")
    browser.run("await wait(500);")
    browser.shoot(f"{shot} compared")
    pairs = dialog.find_elements("css selector", ".ming-pair")
    assert len(pairs) == 2
    assert "Please generate" in pairs[0].text
    assert pairs[1].text.index("yellow") < pairs[1].text.index("purple")
    marked = {mark.text for mark in pairs[1].find_elements("css selector", "mark")}
    assert {"seed 104", "seed 107"} <= marked or len(marked) >= 2
    browser.press(Keys.ESCAPE)
    assert not browser.find("dialog.ming-dialog")
    assert focus(browser) == labels(browser, SIDE)[1], "the focus is back where it was"


@pytest.mark.parametrize(
    ("where", "number", "origin"),
    [(SIDE, 0, "AR Generate"), (SIDE, 2, "Edit B"), (NODE, 1, "Edit A"), (NODE, 0, "AR Generate")],
)
def test_an_edit_step_goes_on_from_a_turn(place, where: str, number: int, origin: str):
    browser, shot = place
    before = browser.run("return app.graph.nodes.length")
    browser.run(LOOK)
    clicked(browser, where, number, "edit")
    made = browser.run(LAST_NODE)
    assert (made["count"], made["type"]) == (before + 1, "MingUniVision_EditStep")
    assert made["from"]["context"] == origin
    assert made["from"]["model"] == "Load MingUniVision"
    settings = "return app.graph.nodes.at(-1).widgets.find((w) => w.name === 'steps').value"
    assert browser.run(settings) == 2, "the settings of the turn are taken over"
    if browser.find(".lg-node"):  # Nodes 2.0 keeps a copy of its own of what it shows
        drawn = """
        const node = document.querySelector(`[data-node-id="${app.graph.nodes.at(-1).id}"]`);
        return [...node.querySelectorAll('input')].map((input) => input.value);
        """
        assert "2" in browser.run(drawn)
    browser.shoot(f"{shot} inserted {number}")
    browser.run("app.graph.remove(app.graph.nodes.at(-1)); await wait(200);")


def test_a_changed_graph_is_told_and_nothing_is_inserted(place):
    browser, _ = place
    before = browser.run("return app.graph.nodes.length")
    rename = """
    for (const node of app.graph.nodes.filter((each) => each.type.endsWith('EditStep'))) {
      const widget = node.widgets.find((each) => each.name === 'instruction');
      [node.kept, widget.value] = given[0] ? [widget.value, 'something else'] : ['', node.kept];
    }"""
    browser.run(rename, True)
    clicked(browser, SIDE, 0, "edit")
    assert "has changed" in status(browser)
    assert browser.run("return app.graph.nodes.length") == before
    browser.run(rename, False)
    browser.run("document.querySelectorAll('.p-toast-close-button').forEach((b) => b.click())")


def test_nothing_of_it_is_saved_or_sent(place):
    browser, _ = place
    saved, prompt = browser.run(
        "return [app.graph.serialize(), (await app.graphToPrompt()).output]"
    )
    nodes = [node for node in saved["nodes"] if node["type"].endswith("Timeline")]
    assert nodes and not any(node.get("widgets_values") for node in nodes)
    sent = [node for node in prompt.values() if node["class_type"].endswith("Timeline")]
    assert all(set(node["inputs"]) == {"context", "model"} for node in sent)


def test_what_was_shown_comes_back_when_the_workflow_is_opened_again(place):
    browser, _ = place
    before = labels(browser, SIDE)
    saved = json.loads(browser.run("return JSON.stringify(app.graph.serialize())"))
    browser.load(saved)
    browser.run("await wait(800);")
    assert labels(browser, SIDE) == before
    shown = browser.run(
        """
        const nodes = app.graph.nodes.filter((node) => node.type.endsWith('Timeline'));
        const panels = nodes.map((node) => node.widgets.find((w) => w.name === 'timeline').element);
        return panels.map((panel) => panel.querySelectorAll('.ming-turn').length);
        """
    )
    assert shown == [2, 2]


HOSTILE = "<img src=x onerror='window.wasFooled=1'><script>window.wasFooled=2</script>"


@pytest.mark.parametrize(
    ("payload", "num_turns"),
    [
        ([{"turns": [{"asked": [{"text": HOSTILE}], "digest": HOSTILE, "seed": HOSTILE}]}], 1),
        ([{"turns": [{}, None, {"asked": "x", "replied": [None, 3, {}], "settings": None}]}], 2),
        ([{"turns": "none"}, None, 7, {}], 0),
        ({"not": "a list"}, 0),
        ([{"turns": [{"replied": [{"picture": {"filename": "gone.jpg"}}]}], "tokens": "x"}], 1),
    ],
    ids=["hostile", "holes", "strangers", "no-list", "no-file"],
)
def test_it_survives_what_it_did_not_expect(place, payload: object, num_turns: int):
    browser, _ = place
    browser.forget_log()
    shown = browser.run(
        """
        const node = app.graph.nodes.findLast((each) => each.type.endsWith('Timeline'));
        try { node.onExecuted({ ming_timeline: given[0], ming_sheet: given[0] }); }
        catch (error) { if (!`${error}`.includes('other pack')) throw error; }
        await wait(500);
        const root = node.widgets.find((widget) => widget.name === 'timeline').element;
        return [root.querySelectorAll('.ming-turn').length, root.textContent, !!window.wasFooled];
        """,
        payload,
    )
    assert shown[0] == num_turns
    assert not shown[2]
    if "onerror" in json.dumps(payload):
        assert HOSTILE in shown[1], "it is shown as the text it is"
    assert not browser.errors()


class TestShipped:
    """What need not be tried in every renderer."""

    @pytest.fixture(autouse=True)
    def classic(self, browser: Browser):
        browser.use(CLASSIC)

    def test_turns_from_a_file_are_told_apart(self, browser: Browser):
        browser.load(json.loads(RESUME.read_text(encoding="utf-8")))
        told = browser.run(
            """
            const node = app.graph.nodes.find((each) => each.type.endsWith('Timeline'));
            const step = app.graph.nodes.find((each) => each.type.endsWith('EditStep'));
            const words = step.widgets.find((each) => each.name === 'instruction').value;
            const turn = (text) => ({ digest: text, asked: [{ text }] });
            try { node.onExecuted({ ming_timeline: [{ turns: ['a', 'b', words].map(turn) }] }); }
            catch (error) { if (!`${error}`.includes('other pack')) throw error; }
            await wait(300);
            const root = node.widgets.find((widget) => widget.name === 'timeline').element;
            const told = [];
            for (const index of [0, 1]) {
              root.querySelectorAll('[data-action=edit]')[index].click();
              await wait(200);
              told.push(root.querySelector('.ming-status').textContent);
            }
            const made = app.graph.nodes.at(-1);
            const steps = app.graph.nodes.filter((each) => each.type.endsWith('EditStep'));
            return [told, steps.length, made.inputs.map((_, i) => made.getInputNode(i)?.type)];
            """
        )
        assert "before the context was saved" in told[0][0]
        assert told[0][1] == "An Edit Step now goes on from turn 2."
        assert told[1] == 2 and "MingUniVision_TrimContext" in told[2]

    def test_it_speaks_chinese_and_so_do_the_nodes_and_their_help(self, browser: Browser, shots):
        browser.set("Comfy.Locale", "zh")
        try:
            browser.open()
            browser.load(json.loads(TWO_EDITS.read_text(encoding="utf-8")))
            browser.run(ADD_TIMELINES)
            browser.run(SHOW_SIDEBAR, TAB)
            titles = browser.run("return app.graph.nodes.map((node) => node.title)")
            assert {"上下文时间线", "自回归生成", "像素解码"} <= set(titles)
            assert "运行工作流后" in browser.find(f"{NODE}.ming-empty")[0].get_attribute(
                "innerText"
            )
            assert browser.run(TYPE_CHINESE) == ["绘制", 0, ""]
            assert "第 1 轮, 画一个红色的圆" in labels(browser, SIDE)[0].replace(FRAME, "")
            browser.shoot("chinese")
        finally:
            browser.set("Comfy.Locale", "en")
            browser.open()
        modules = browser.server.get_json("/extensions")
        (entry,) = (path for path in modules if path.endswith("/ming_univision.js"))
        docs = entry.rsplit("/", 1)[0] + "/docs/MingUniVision_Generate"
        assert browser.server.get(f"{docs}.md").startswith(b"# AR Generate")
        assert browser.server.get(f"{docs}/zh.md").decode().startswith("# 自回归生成")
