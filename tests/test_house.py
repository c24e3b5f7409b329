"""The house around the code: what the README promises exists, and what is installed fits."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ming_cli.__main__ import TOOLS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SHIPPED = (
    "ming_bench",
    "ming_cli",
    "ming_core",
    "ming_download",
    "ming_exam",
    "ming_run",
    "ming_shapes",
)
FOLDERS = (*SHIPPED, "nodes", "tests")
SOURCES = [ROOT / "__init__.py", *(p for f in FOLDERS for p in sorted((ROOT / f).rglob("*.py")))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMFYUIS = {"comfyui_process", "ComfyProcess", "object_info", "_node_info"}
IGNORED = shutil.ignore_patterns(".*", "output", "build", "*.egg-info", "__pycache__", "models")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_readme_has_both_commands():
    for command in ("demo", "test"):
        assert f"python quickstart.py {command}\n" in README


def test_readme_names_every_tool_and_no_other():
    rows = set(re.findall(r"^\| `ming ([a-z-]+)", README, flags=re.MULTILINE))
    assert rows == set(TOOLS)


def test_readme_lists_every_node():
    texts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "nodes").glob("*.py"))
    names = re.findall(r'display_name="([^"]+)"', texts)
    assert len(names) >= 10
    rows = " ".join(line for line in README.splitlines() if line.startswith("| "))
    missing = [name for name in names if f"| {name} |" not in rows]
    # Save and Load share a pattern of names; each has a row of its own all the same.
    assert not missing


def test_names_are_made_of_the_fields_words():
    """CONTRIBUTING says which words no module, class or function is called by."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.search(r"In no name: ([^.]+)\.", contributing)[1]
    unwanted = set(re.findall(r"\w+", listed.replace("nor words of our own for these", "")))
    assert {"util", "data", "sketch", "crowd"} <= unwanted
    found: list[str] = []
    for path in [path for path in SOURCES if "tests" not in path.parts]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = [n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        for name in {path.stem, *defined} - COMFYUIS:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
            found += [f"{named(path)}: {name}"] if words & unwanted else []
    assert not found


def test_requirements_leave_torch_and_upper_versions_to_the_host():
    for line in requirements():
        name = re.split(r"[\s<>=!~\[;]", line)[0].lower()
        assert not name.startswith(("torch", "xformers", "bitsandbytes", "flash")), line
        assert not re.search(r"<|==|~=|://|git\+", line), f"{line}: pins or foreign sources"


def test_requirements_are_the_declared_dependencies():
    declared = re.search(r"^dependencies = \[(.*?)\]", PYPROJECT, flags=re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r'"([^"]+)"', declared[1])) == sorted(requirements())


@pytest.mark.slow
def test_wheel_holds_the_engine_and_the_command_only(tmp_path: Path):
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=IGNORED)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(SHIPPED)
    shipped = {name for name in names if name.endswith(".py")}
    assert {named(p) for p in SOURCES if named(p).startswith(SHIPPED)} <= shipped
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.parametrize("path", [ROOT / "quickstart.py", *SOURCES], ids=named)
def test_source_is_python_3_10(path: Path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


def test_quickstart_needs_the_standard_library_only():
    tree = ast.parse((ROOT / "quickstart.py").read_text(encoding="utf-8"))
    modules = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    modules |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["test", "--help"]])
def test_quickstart_explains_itself(arguments: list[str]):
    command = [sys.executable, "-I", str(ROOT / "quickstart.py"), *arguments]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "usage:" in shown.stdout


def test_quickstart_refuses_a_missing_checkpoint_before_it_installs_anything(tmp_path: Path):
    shutil.copy(ROOT / "quickstart.py", tmp_path)
    command = [sys.executable, "-I", str(tmp_path / "quickstart.py"), "demo", "no-such-folder"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == 2
    assert "no-such-folder" in shown.stderr
    assert not (tmp_path / ".quickstart").exists()


def test_ci_runs_the_one_command():
    assert "quickstart.py test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_decision_that_is_named_has_a_page():
    """Pages have been put together before: what named the old numbers led nowhere."""
    pages = {page.name[:4] for page in (ROOT / "docs" / "decisions").glob("*.md")}
    texts = [*SOURCES, *(ROOT / "training").glob("*.py"), *PAGES, *ROOT.glob("bundled/*.md")]
    texts += (ROOT / "training").glob("*.md")
    for path in texts:
        text = path.read_text(encoding="utf-8")
        named_there = re.findall(r"[Dd]ecisions?\s+(\d{4})(?:\s+and\s+(\d{4}))?", text)
        missing = {number for pair in named_there for number in pair if number} - pages
        assert not missing, f"{named(path)} names decisions that have no page: {sorted(missing)}"


def test_decisions_are_numbered_without_gaps_and_say_why():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]} "), named(page)
        assert "**Decision.**" in text, named(page)
        assert "**Why.**" in text, named(page)
        assert len(text.split()) <= 260, f"{named(page)} is longer than half a page"
