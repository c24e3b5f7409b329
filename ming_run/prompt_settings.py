"""Puts values given on the command line onto prompts: `--set NODE.INPUT=VALUE`.

NODE is a node's id, its title, or its type where only one node of the file has that type.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .host import Prompt, WorkflowError, title_of
from .node_definitions import InputDefinition, NodeDefinition

_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Setting:
    """One `--set`."""

    node: str
    input: str
    value: str

    def __str__(self) -> str:
        return f"--set {self.node}.{self.input}={self.value}"


def parse_setting(text: str) -> Setting:
    """Read NODE.INPUT=VALUE; the value may hold further dots and equal signs."""
    target, equals, value = text.partition("=")
    node, dot, name = target.rpartition(".")
    if not (equals and dot and node and name):
        raise WorkflowError(
            f"--set {text}: expected NODE.INPUT=VALUE, for example --set 3.seed=7 or "
            "--set 'AR Generate.prompt=a red square'."
        )
    return Setting(node.strip(), name.strip(), value)


def apply_settings(
    settings: Sequence[Setting],
    prompts: Mapping[str, Prompt],
    definitions: Mapping[str, NodeDefinition],
) -> None:
    """Set each value in every prompt that has such a node; one at least must have it."""
    for setting in settings:
        found = [
            _set_value(setting, prompt, node_id, definitions)
            for prompt in prompts.values()
            if (node_id := _find_node(setting, prompt)) is not None
        ]
        if not found:
            names = [
                f"{i} {title_of(n)!r}" for prompt in prompts.values() for i, n in prompt.items()
            ]
            raise WorkflowError(f"{setting}: no such node. The nodes are: {', '.join(names)}.")


def _find_node(setting: Setting, prompt: Prompt) -> str | None:
    if setting.node in prompt:
        return setting.node
    for key in (title_of, lambda node: node["class_type"]):
        matches = [node_id for node_id, node in prompt.items() if key(node) == setting.node]
        if len(matches) > 1:
            raise WorkflowError(
                f"{setting}: nodes {', '.join(matches)} are all called {setting.node!r}. "
                "Give the id instead."
            )
        if matches:
            return matches[0]
    return None


def _set_value(
    setting: Setting, prompt: Prompt, node_id: str, definitions: Mapping[str, NodeDefinition]
) -> None:
    node = prompt[node_id]
    definition = definitions.get(node["class_type"])
    entry = definition.input_named(setting.input) if definition else None
    widgets = [item.name for item in definition.inputs if item.has_widget] if definition else []
    if entry is None or not entry.has_widget:
        raise WorkflowError(
            f"{setting}: {title_of(node)!r} has no such value. It has: {', '.join(widgets)}."
        )
    node["inputs"][setting.input] = _typed(setting, entry)


def _typed(setting: Setting, entry: InputDefinition) -> Any:  # noqa: ANN401 - what the input takes
    try:
        if entry.kind == "INT":
            return int(setting.value)
        if entry.kind == "FLOAT":
            return float(setting.value)
        if entry.kind == "BOOLEAN":
            return _SWITCH[setting.value.strip().lower()]
        if entry.choices is not None and setting.value not in entry.choices:
            return _choice_like(setting.value, entry.choices)
    except (ValueError, KeyError) as error:
        raise WorkflowError(
            f"{setting}: {setting.value!r} is not a value of type {entry.kind}."
        ) from error
    return setting.value


def _choice_like(value: str, choices: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """A choice that is a number or a switch, when the text spells it; else the text."""
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return read if read in choices else value
