"""Every node type of a host, converted by `ming run` and by the page: how many come out alike.

`python tests/host/conversion_coverage.py [COMFYUI]` starts the host and a Chromium and prints the
types that differ, fresh and with other values in their widgets. Needs what the browser tests need.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from bases import PACK, make_base  # noqa: E402
from browser import Browser  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402

from ming_run.comfyui_process import find_comfyui  # noqa: E402
from ming_run.editor import convert  # noqa: E402
from ming_run.host import WorkflowError  # noqa: E402
from ming_run.node_definitions import NodeDefinition, parse_definitions  # noqa: E402

AT_ONCE = 40  # node types in one workflow
BOTH = (False, True)
# Puts one node of each type on a fresh page, saves, loads what was saved, and queues nothing.
CONVERT = """
const [types, isChanged] = given;
const other = (widget) => {
  const { value, options = {}, type } = widget;
  const values = typeof options.values === 'function' ? options.values() : options.values;
  if (Array.isArray(values)) return values.filter((choice) => choice !== value).at(-1) ?? value;
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') {
    const step = options.step2 || 1;
    return value + step <= (options.max ?? Infinity) ? value + step : options.min ?? value;
  }
  if (type === 'color') return '#123456';
  return ['text', 'customtext', 'string'].includes(type) ? 'other {words|words} // said' : value;
};
app.graph.clear();
for (const type of types) {
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  for (let i = 0; isChanged && i < (node.widgets?.length ?? 0); i++) {
    const widget = node.widgets[i];
    if (widget.name === 'option3') break; // Custom Combo grows by one for each that is filled
    if (widget.type !== 'button' && widget.name) widget.value = other(widget);
  }
}
await wait(300);
const workflow = JSON.parse(JSON.stringify(app.graph.serialize()));
await app.loadGraphData(workflow);
await wait(300);
const made = await Promise.race([app.graphToPrompt(), wait(20000)]);
return { workflow, prompt: made?.output ?? null };
"""


def differences(
    page: Browser, definitions: dict[str, NodeDefinition], is_changed: bool
) -> Iterator[tuple[str, str]]:
    """Yield every type that does not come out alike, and in what."""
    names = list(definitions)
    for start in range(0, len(names), AT_ONCE):
        yield from _of_some(page, definitions, names[start : start + AT_ONCE], is_changed)


def _of_some(
    page: Browser, definitions: dict[str, NodeDefinition], names: Sequence[str], is_changed: bool
) -> Iterator[tuple[str, str]]:
    """Compare some types; where the page refuses the lot, each of them alone."""
    try:
        seen = page.run(CONVERT, names, is_changed)
        assert seen["prompt"] is not None, "the page did not answer"
    except AssertionError as error:
        if len(names) == 1:
            yield names[0], f"the page fails: {str(error)[:160]}"
            return
        for name in names:
            yield from _of_some(page, definitions, [name], is_changed)
        return
    for node in seen["workflow"]["nodes"]:
        expected = seen["prompt"].get(str(node["id"]))
        if fault := difference(node, expected, definitions):
            yield node["type"], fault


def difference(
    node: dict[str, Any], expected: dict[str, Any] | None, definitions: dict[str, NodeDefinition]
) -> str:
    """Say in what `ming run` differs from the page for one node without links; "" if in nothing.

    Inputs that the definition does not know are left out: the host drops them, too.
    """
    workflow = {"nodes": [{**node, "inputs": _unlinked(node)}], "links": []}
    try:
        made = convert(workflow, definitions, node["type"]).prompt.get(str(node["id"]))
    except WorkflowError as error:
        return f"refused: {error}"
    if made is None or expected is None:
        return "" if made is expected else "only one of them sends it"
    ours, theirs = (_known(entry, definitions) for entry in (made, expected))
    names = [name for name in {**ours, **theirs} if ours.get(name, ...) != theirs.get(name, ...)]
    return "; ".join(f"{name}: {ours.get(name)!r}, page {theirs.get(name)!r}" for name in names)


def _unlinked(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**entry, "link": None} for entry in node.get("inputs") or ()]


def _known(entry: dict[str, Any], definitions: dict[str, NodeDefinition]) -> dict[str, Any]:
    definition = definitions[entry["class_type"]]
    inputs = entry["inputs"].items()
    return {n: value for n, value in inputs if definition.input_named(n.split(".")[0]) is not None}


def main() -> int:
    """Print one line per type that differs and a sum; 1 where fewer than 99 % are alike."""
    named = [Path(name) for name in sys.argv[1:]]
    comfyui = named[0] if named else find_comfyui(PACK)
    if comfyui is None:
        print("No ComfyUI found: give its folder.")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        server = ComfyServer(comfyui, make_base(Path(folder) / "base"))
        page = Browser(server, Path(folder))
        try:
            definitions = parse_definitions(json.loads(server.get("/object_info")))
            worst = min(_print_one(page, definitions, is_changed) for is_changed in BOTH)
        finally:
            page.close()
            server.stop()
    return 0 if worst >= 0.99 else 1  # noqa: PLR2004


def _print_one(page: Browser, definitions: dict[str, NodeDefinition], is_changed: bool) -> float:
    faults = dict(differences(page, definitions, is_changed))
    for name, fault in faults.items():
        print(f"  {name}: {fault}")
    alike = len(definitions) - len(faults)
    how = "with other values" if is_changed else "fresh"
    print(f"{how}: {alike} of {len(definitions)} node types alike")
    return alike / len(definitions)


if __name__ == "__main__":
    sys.exit(main())
