"""The shape of the code, read from its syntax trees: who may import whom, and how big things get.

The picture of these rules is docs/architecture.md.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINE = sorted((ROOT / "ming_core").rglob("*.py"))
NODES = sorted((ROOT / "nodes").rglob("*.py"))
DOWNLOADS = sorted((ROOT / "ming_download").rglob("*.py"))
BESIDE = ("ming_bench", "ming_cli", "ming_exam", "ming_run", "ming_shapes", "tools", "training")
OTHERS = [path for folder in BESIDE for path in sorted((ROOT / folder).rglob("*.py"))]
EVERYTHING = [*ENGINE, *NODES, *DOWNLOADS, *OTHERS, ROOT / "__init__.py", ROOT / "quickstart.py"]

HOST_MODULES = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "nodes"}
FAMILIES = ("univision", "lite_uni")
BOXES = ("mingtok", "language_model", "flow")
BOX_GROUND = {"errors", "kernels", "kv_cache", "layers", "operations", "progress"}
BOX_GROUND |= {"univision.config", "univision.sampling", "univision.values"}
MAX_FILE, MAX_FUNCTION = 400, 60
MAX_DEPTH, MAX_SHARE = 8, 0.3


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    """Every imported module as a dotted path, resolved to the top level and to its own file."""
    package = list(path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            names = {".".join([*module, alias.name]) for alias in node.names}
            submodules = {name for name in names if is_module(name)}
            found |= submodules | ({".".join(module)} if names - submodules and module else set())
    return found


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if is_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_engine_knows_no_host(path: Path):
    tops = {module.split(".")[0] for module in imports_of(path)}
    assert not tops & (HOST_MODULES | {*BESIDE, "ming_download", "transformers", "diffusers"})


@pytest.mark.parametrize("path", DOWNLOADS, ids=named)
def test_downloads_know_neither_engine_nor_host(path: Path):
    tops = {module.split(".")[0] for module in imports_of(path)}
    assert not tops & (HOST_MODULES | {*BESIDE, "ming_core", "torch"})


@pytest.mark.parametrize("path", NODES, ids=named)
def test_nodes_reach_the_engine_and_the_downloads_only_and_relatively(path: Path):
    tops = {module.split(".")[0] for module in imports_of(path)}
    assert not tops & set(BESIDE)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ming_"):
            assert node.level > 0, f"line {node.lineno}: a second copy would be loaded in the host"


def test_the_examination_and_the_lessons_know_nothing_of_each_other():
    for folder, other in (("ming_exam", "ming_shapes"), ("ming_exam", "training")):
        for one, two in ((folder, other), (other, folder)):
            for path in sorted((ROOT / one).rglob("*.py")):
                assert two not in {module.split(".")[0] for module in imports_of(path)}, path


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_families_keep_apart_and_the_ground_knows_none(path: Path):
    place = path.relative_to(ROOT / "ming_core").parts[0]
    met = {m.split(".")[1] for m in imports_of(path) if m.startswith("ming_core.")}
    if place not in ("__init__.py", "families.py"):
        assert not met & ({*FAMILIES} - {place})


def test_every_family_goes_through_the_one_door():
    doors = imports_of(ROOT / "ming_core" / "families.py")
    assert {f"ming_core.{family}.checkpoint" for family in FAMILIES} <= doors
    folders = {path.parent.name for path in (ROOT / "ming_core").glob("*/checkpoint.py")}
    assert folders == set(FAMILIES)


def test_imports_inside_the_engine_go_down_and_not_deep():
    modules = {dotted(path): path for path in ENGINE if path.name != "__init__.py"}
    needs = {name: imports_of(path) & modules.keys() for name, path in modules.items()}
    depth: dict[str, int] = {}
    while len(depth) < len(needs):
        ready = {n for n, below in needs.items() if n not in depth and below <= depth.keys()}
        assert ready, f"a circle among {sorted(needs.keys() - depth.keys())}"
        depth |= {n: max((1 + depth[m] for m in needs[n]), default=0) for n in ready}
    deepest = max(depth, key=depth.__getitem__)
    assert depth[deepest] <= MAX_DEPTH, f"{deepest} is {depth[deepest]} imports above the ground"


def test_no_folder_holds_too_much_of_the_code():
    """A family is a folder of its own; what is left of the engine is the shared ground."""
    lines: dict[str, int] = {}
    for path in {*ENGINE, *NODES, *DOWNLOADS, *OTHERS}:
        parts = path.relative_to(ROOT).parts
        folder = "/".join(parts[:2]) if parts[1] in FAMILIES else parts[0]
        lines[folder] = lines.get(folder, 0) + len(path.read_text(encoding="utf-8").splitlines())
    shares = {folder: count / sum(lines.values()) for folder, count in lines.items()}
    assert max(shares.values()) <= MAX_SHARE, shares


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_engine_imports_itself_relatively(path: Path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ming_core"):
            assert node.level > 0, f"line {node.lineno}: two copies of the engine would be loaded"


@pytest.mark.parametrize("box", BOXES)
def test_boxes_know_only_the_ground_under_them(box: str):
    for path in sorted((ROOT / "ming_core" / "univision" / box).glob("*.py")):
        inside = {m.removeprefix("ming_core.") for m in imports_of(path) if m.startswith("ming_")}
        own = (*BOX_GROUND, f"univision.{box}")
        strangers = {m for m in inside if not m.startswith(own)}
        assert not strangers, f"{named(path)} imports {sorted(strangers)}"


@pytest.mark.parametrize("path", NODES, ids=named)
def test_only_the_host_files_know_torch_and_comfy(path: Path):
    if path.parent.name == "host":
        return
    tops = {module.split(".")[0] for module in imports_of(path)}
    assert not tops & ({"torch", "numpy"} | HOST_MODULES - {"comfy_api", "nodes"})


@pytest.mark.parametrize("path", NODES, ids=named)
def test_nodes_use_the_public_engine(path: Path):
    private = {m for m in imports_of(path) if m.startswith("ming_core.")}
    private -= {f"ming_core.{family}" for family in FAMILIES}  # a family's own public names
    assert not private, "import the names that ming_core or a family itself exports"


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_engine_takes_no_unnamed_options(path: Path):
    offenders = [f.name for f in functions_of(path) if f.args.kwarg is not None]
    assert not offenders, "**kwargs swallows misspelt options"


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_engine_names_no_device(path: Path):
    for node in ast.walk(tree_of(path)):
        assert not (isinstance(node, ast.Attribute) and node.attr == "cuda"), node.lineno
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        assert not (is_text and node.value.startswith("cuda")), node.lineno


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_files_and_functions_stay_small(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE
    long = {f.name: length_of(f) for f in functions_of(path) if length_of(f) > MAX_FUNCTION}
    assert not long


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_engine_functions_take_few_parameters(path: Path):
    for function in functions_of(path):
        if any("triton" in ast.unparse(decorator) for decorator in function.decorator_list):
            continue  # a kernel is handed pointers, one by one
        every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        count = len([argument for argument in every if argument.arg not in ("self", "cls")])
        # `progress` and `context` ride along everywhere, hence nine and not six for the entry
        # points; ruff holds positional parameters to six.
        assert count <= 9, f"{function.name} takes {count} parameters"


@pytest.mark.parametrize("path", [p for p in EVERYTHING if p.name != "__init__.py"], ids=named)
def test_every_module_says_what_it_is(path: Path):
    assert ast.get_docstring(tree_of(path)), "the first line of a module states its one idea"
