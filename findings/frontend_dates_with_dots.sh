#!/usr/bin/env bash
# comfyui-frontend-package 1.35.9 and 1.49.6: in a file name prefix "%date:dd.MM.yyyy%" gives the day alone. What
# stands between two "%" is parted at its dots before anything else; with three parts only the first
# reaches the formatter of dates, and with two ("%date:dd.MM%") a node called "date:dd" is looked for, so that the
# text stays as it is. Other marks between day and month work. It holds for every save node, the host's own too.
# Consequence for us: `ming run` fills in dates just so; the docs say to write dates without dots.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet quickjs==1.19.4
for version in 1.35.9 1.49.6; do
  "$work/env/bin/pip" install --quiet --no-deps --target "$work/$version" \
    "comfyui-frontend-package==$version"
done
"$work/env/bin/python" - "$work" <<'PY'
import json
import re
import sys
from pathlib import Path

import quickjs

NAME = re.compile(r"function (applyTextReplacements(?:\$\d+)?)\(")


def whole_function(text, start):
    """The source of a function: up to the brace that closes it."""
    depth = 0
    for end in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            return text[start : end + 1]
    raise SystemExit("the function does not end")


def filled(version, prefix):
    """What the page makes of a prefix; the formatter shows which pattern it was given."""
    for file in Path(sys.argv[1], version).rglob("*.js"):
        text = file.read_text(encoding="utf-8", errors="replace")
        found = NAME.search(text)
        if found and "date:" in (source := whole_function(text, found.start())):
            formatter = re.search(r"startsWith\([`'\"]date:[`'\"]\)\?([\w$]+)\(", source)[1]
            page = quickjs.Context()
            page.eval("var console = {warn() {}}; function collectAllNodes() { return [] }")
            page.eval(f"function {formatter}(pattern) {{ return '[' + pattern + ']' }}")
            page.eval(source)
            return page.eval(f"{found[1]}({{}}, {json.dumps(prefix)})")
    raise SystemExit(f"{version} has no such function")


wanted = {
    "%date:dd-MM-yyyy%": "[dd-MM-yyyy]",
    "%date:dd.MM.yyyy%": "[dd]",
    "%date:dd.MM%": "%date:dd.MM%",
}
seen = {version: {p: filled(version, p) for p in wanted} for version in ("1.35.9", "1.49.6")}
for version, results in seen.items():
    print(version, results)
sys.exit(any(results != wanted for results in seen.values()))
PY
echo "as recorded"
