"""One step of a walk over a prompt: gather a node's inputs, map it over lists, merge results.

Follows ComfyUI's rules for lists, blocked branches and `ui` values. Knows nothing about any host.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ming_core.foreign_text import shown

from .host import Watcher, is_link
from .node_definitions import NodeDefinition
from .prompt_checks import CONVERSIONS


@dataclass(frozen=True)
class Blocked:
    """Stands in an output slot whose consumers must not run."""

    message: str | None = None


@dataclass(frozen=True)
class NodeResult:
    """What a node gave: a list of values per output slot, and its `ui` values."""

    outputs: list[list[Any]] = field(default_factory=list)
    ui: Mapping[str, list[Any]] = field(default_factory=dict)


def run_node(
    node: Mapping[str, Any],
    call: Callable[..., Any],
    definition: NodeDefinition,
    results: Mapping[str, NodeResult],
    watcher: Watcher,
) -> NodeResult:
    """Call a node once per list entry of its inputs; shorter lists repeat their last entry."""
    gathered = _gather(node, definition, results)
    returns = []
    for inputs in _slices(gathered, definition.is_input_list):
        block = _find_block(inputs)
        if block is None:
            returns.append(_normalised(call(**inputs), definition))
            continue
        if block.message:
            watcher.noted(f"skipped: {block.message}")
        returns.append(([Blocked()] * len(definition.output_kinds), {}))
    return _merged(returns, definition)


def _gather(
    node: Mapping[str, Any], definition: NodeDefinition, results: Mapping[str, NodeResult]
) -> dict[str, list[Any]]:
    gathered: dict[str, list[Any]] = {}
    for name, value in node["inputs"].items():
        entry = definition.input_named(name)
        if entry is None:
            continue  # an editor-only value; check_prompt has refused everything else
        if is_link(value):
            outputs = results[str(value[0])].outputs
            gathered[name] = outputs[value[1]] if outputs else [Blocked()]
        else:
            plain = value.get("__value__", value) if isinstance(value, dict) else value
            gathered[name] = [CONVERSIONS.get(entry.kind, lambda same: same)(plain)]
    return gathered


def _slices(gathered: Mapping[str, list[Any]], is_input_list: bool) -> list[dict[str, Any]]:  # noqa: FBT001
    if is_input_list:
        return [dict(gathered)]
    empty = [name for name, values in gathered.items() if not values]
    if empty:
        raise ValueError(
            f"input {shown(empty[0])} received an empty list. The node before it gave nothing; "
            "check that one."
        )
    length = max(map(len, gathered.values()), default=1)
    return [
        {name: values[min(index, len(values) - 1)] for name, values in gathered.items()}
        for index in range(length)
    ]


def _as_block(value: object) -> Blocked | None:
    """Read a blocked slot; the host's class exists once per host, so its name tells it."""
    if isinstance(value, Blocked):
        return value
    if type(value).__name__ == "ExecutionBlocker":
        return Blocked(getattr(value, "message", None))
    return None


def _find_block(inputs: Mapping[str, Any]) -> Blocked | None:
    values = [
        item
        for value in inputs.values()
        for item in (value if isinstance(value, list) else [value])
    ]
    return next((block for block in map(_as_block, values) if block is not None), None)


def _normalised(
    returned: Any,  # noqa: ANN401 - every form a node may return
    definition: NodeDefinition,
) -> tuple[list[Any], Mapping[str, list[Any]]]:
    """Read one call's return value as (one value per output slot, ui values)."""
    num_outputs = len(definition.output_kinds)
    if hasattr(returned, "block_execution"):  # a V3 NodeOutput
        values, ui = returned.result, returned.ui
        if values is not None and returned.block_execution is not None:
            return [Blocked(returned.block_execution)] * num_outputs, _ui_values(ui)
    elif isinstance(returned, dict):
        values, ui = returned.get("result"), returned.get("ui")
    else:
        values, ui = returned, None
    if isinstance(values, Blocked) or _as_block(values):
        return [values] * num_outputs, _ui_values(ui)
    outputs = [] if values is None else list(values)
    if num_outputs and len(outputs) != num_outputs:
        raise ValueError(
            f"{definition.class_type} gave {len(outputs)} outputs, its definition has {num_outputs}"
        )
    return outputs, _ui_values(ui)


def _ui_values(ui: Any) -> Mapping[str, list[Any]]:  # noqa: ANN401
    if ui is None:
        return {}
    return ui if isinstance(ui, dict) else ui.as_dict()


def _merged(
    returns: list[tuple[list[Any], Mapping[str, list[Any]]]], definition: NodeDefinition
) -> NodeResult:
    outputs: list[list[Any]] = [[] for _ in definition.output_kinds]
    for values, _ in returns:
        slots = zip(outputs, values, definition.output_is_list, strict=False)
        for collected, value, is_list in slots:
            if is_list and _as_block(value) is None:
                collected.extend(value)
            else:
                collected.append(value)
    shown = [ui for _, ui in returns if ui]
    keys = shown[0] if shown else {}
    return NodeResult(outputs, {key: [x for ui in shown for x in ui[key]] for key in keys})
