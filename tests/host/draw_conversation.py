"""Draws the documentation's pictures of the sidebar, from a conversation typed into a real page.

usage: python tests/host/draw_conversation.py [--comfyui FOLDER] [--docs docs/images]

Writes timeline.png, compare.png and conversation.webp. Needs what the browser tests need.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bases import make_base
from browser import CLASSIC, Browser
from comfy_server import ComfyServer
from hosts import PACK, found_hosts
from PIL import Image
from selenium.webdriver.common.keys import Keys
from test_browser_conversation import DRAW, SHOW_SIDEBAR, SIDE, TAB, USE_BUNDLED, chord, line

WINDOW, FRAME_WIDTH = (1500, 980), 960
TYPING, DRAWING, LOOKING = 90, 250, 1800  # milliseconds a frame is shown
LETTERS = 5  # typed between two frames
EMPTY = {"nodes": [], "links": [], "groups": [], "version": 0.4}
EMPTY |= {"last_node_id": 0, "last_link_id": 0}
# The same seeds every time, and the nodes in view.
PREPARE = """
let state = 7;
Math.random = () => (state = (state * 16807) % 2147483647) / 2147483647;
app.canvas.ds.scale = 0.62;
app.canvas.ds.offset = [-10, 70];
app.canvas.setDirty(true, true);
await wait(500);
"""
IS_BUSY = "return !document.querySelector('.ming-composer [data-action=stop]').hidden"
Frame = tuple[Image.Image, int]


def seen(browser: Browser, milliseconds: int) -> Frame:
    """Return what the page shows, at the size of the animation."""
    shot = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
    height = round(shot.height * FRAME_WIDTH / shot.width)
    return shot.resize((FRAME_WIDTH, height), Image.Resampling.LANCZOS), milliseconds


def typed(browser: Browser, words: str, *, has_tries: bool = False) -> Iterator[Frame]:
    """Type a line and send it, once or as four tries; yield what is seen meanwhile."""
    line(browser).click()
    for start in range(0, len(words), LETTERS):
        line(browser).send_keys(words[start : start + LETTERS])
        yield seen(browser, TYPING)
    chord(browser, *[Keys.ALT] * has_tries, Keys.ENTER)
    while browser.run(IS_BUSY):
        yield seen(browser, DRAWING)
    browser.run("await wait(700)")
    yield seen(browser, LOOKING)


def conversation(browser: Browser) -> Iterator[Frame]:
    """Draw, edit, ask, and go back to begin a branch."""
    browser.use(CLASSIC)
    browser.load(EMPTY)
    browser.run(SHOW_SIDEBAR, TAB)
    browser.run(USE_BUNDLED)
    browser.run(PREPARE)
    yield seen(browser, LOOKING)
    yield from typed(browser, DRAW)
    yield from typed(browser, "Change the colour of the circle to green.")
    yield from typed(browser, "What colour is the circle?")
    browser.find(f"{SIDE}.ming-turn header")[0].click()
    yield seen(browser, LOOKING)
    yield from typed(browser, "Change the background to yellow.")


def kept(browser: Browser) -> Iterator[Frame]:
    """Draw four tries of an edit, and keep the second."""
    yield from typed(browser, "Change the circle to a star.", has_tries=True)
    chord(browser, Keys.ALT, "2")
    browser.run("await wait(500)")
    yield seen(browser, LOOKING)


def compared(browser: Browser) -> None:
    """Open the two branches side by side, by keys."""
    line(browser).click()
    chord(browser, Keys.SHIFT, Keys.TAB)
    browser.press("c", Keys.HOME, Keys.ARROW_DOWN, "c")
    browser.run("await wait(800)")


def main() -> None:
    """Type the conversation and write the three pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, help="the newest one that is found, unless given")
    parser.add_argument("--docs", type=Path, default=PACK / "docs" / "images")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ComfyServer(args.comfyui or found_hosts()[0], make_base(Path(folder) / "base"))
        browser = Browser(server, args.docs, "docs")
        try:
            browser.driver.set_window_size(*WINDOW)
            film = list(conversation(browser))
            browser.shoot("timeline")
            compared(browser)
            browser.shoot("compare")
            browser.press(Keys.ESCAPE)
            browser.run(
                "[...document.querySelectorAll(given[0])].at(-1).click()", f"{SIDE}.ming-turn"
            )
            film += kept(browser)
        finally:
            browser.close()
            server.stop()
    how = {"save_all": True, "loop": 0, "quality": 60, "method": 4}
    frames, durations = zip(*film, strict=True)
    path = args.docs / "conversation.webp"
    frames[0].save(path, append_images=frames[1:], duration=list(durations), **how)
    print(f"{len(frames)} frames, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
