"""What the registry would ship fits together: nothing in it points at what is left out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
HIDDEN = re.compile(r"/\.[^/]")


def is_shipped(path: Path) -> bool:
    name = "/" + path.relative_to(ROOT).as_posix()
    name += "/" if path.is_dir() else ""
    return path.exists() and not any(name.startswith(f"/{entry}") for entry in LEFT_OUT)


PAGES = [
    page
    for top in ROOT.iterdir()
    if is_shipped(top) and not HIDDEN.match(f"/{top.name}")
    for page in ([top] if top.suffix == ".md" else top.rglob("*.md") if top.is_dir() else [])
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_shipped_file(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    lost = [link for link in inside if not is_shipped((page.parent / link).resolve())]
    assert not lost


def test_the_commands_of_the_readme_are_shipped():
    named = set(re.findall(r"python (\w+\.py)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {"quickstart.py"} and is_shipped(ROOT / "quickstart.py")
