"""Puts values given on the command line onto prompts: `--set NODE.INPUT=VALUE`.

NODE is a node's id, its title, or its type where only one node of the file has that type. A node
inside a subgraph has the id "outer:inner"; the node of the subgraph itself takes its widgets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ming_core.errors import ForeignError
from ming_core.foreign_json import parse_json
from ming_core.foreign_text import plain, several, shown
from ming_core.written_numbers import number, switch, whole_number

from .host import Prompt, WorkflowError, title_of
from .node_definitions import InputDefinition, NodeDefinition

# Where a widget on a subgraph's node leads: {(its id or title, name): (id, input) of each place}
Places = Mapping[tuple[str, str], Sequence[tuple[str, str]]]
_READERS: Mapping[str, Callable[[str], Any]] = {
    "INT": whole_number,
    "FLOAT": number,
    "BOOLEAN": switch,
}


@dataclass(frozen=True)
class Setting:
    """One `--set`."""

    node: str
    input: str
    value: str

    def __str__(self) -> str:
        return f"--set {plain(f'{self.node}.{self.input}={self.value}')}"


def parse_setting(text: str) -> Setting:
    """Read NODE.INPUT=VALUE; the value may hold further dots and equal signs."""
    target, equals, value = text.partition("=")
    node, dot, name = target.rpartition(".")
    if not (equals and dot and node and name):
        raise WorkflowError(
            f"--set {plain(text)}: expected NODE.INPUT=VALUE, for example --set 3.seed=7 or "
            "--set 'AR Generate.prompt=a red square'."
        )
    return Setting(node.strip(), name.strip(), value)


def apply_settings(
    settings: Sequence[Setting],
    prompts: Mapping[str, Prompt],
    definitions: Mapping[str, NodeDefinition],
    places: Mapping[str, Places] | None = None,
) -> None:
    """Set each value in every prompt that has such a node; one at least must have it.

    places   for each prompt, what the nodes of its subgraphs stand for
    """
    for setting in settings:
        found = [
            _set_value(inner, prompt, inner.node, definitions)
            for key, prompt in prompts.items()
            for inner in _meant(setting, prompt, (places or {}).get(key, {}))
        ]
        if not found:
            nodes = [
                f"{i} {title_of(n)!r}" for prompt in prompts.values() for i, n in prompt.items()
            ]
            raise WorkflowError(f"{setting}: no such node. The nodes are: {several(nodes)}.")


def _meant(setting: Setting, prompt: Prompt, places: Places) -> list[Setting]:
    """The setting for each node that it reaches."""
    inside = places.get((setting.node, setting.input), ())
    if inside:
        return [replace(setting, node=node_id, input=name) for node_id, name in inside]
    node_id = _find_node(setting, prompt)
    return [] if node_id is None else [replace(setting, node=node_id)]


def _find_node(setting: Setting, prompt: Prompt) -> str | None:
    if setting.node in prompt:
        return setting.node
    for key in (title_of, lambda node: node["class_type"]):
        matches = [node_id for node_id, node in prompt.items() if key(node) == setting.node]
        if len(matches) > 1:
            raise WorkflowError(
                f"{setting}: nodes {several(matches)} are all called {shown(setting.node)}. "
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
            f"{setting}: {title_of(node)!r} has no such value. It has: {several(widgets)}."
        )
    node["inputs"][setting.input] = _typed(setting, entry)


def _typed(setting: Setting, entry: InputDefinition) -> Any:  # noqa: ANN401 - what the input takes
    try:
        if entry.widget_kind in _READERS:
            return _READERS[entry.widget_kind](setting.value)
    except ValueError as error:
        raise WorkflowError(
            f"{setting}: {shown(setting.value)} is not a value of type {entry.kind}: {error}."
        ) from error
    if entry.choices is not None and setting.value not in entry.choices:
        return _choice_like(setting.value, entry.choices)
    return setting.value


def _choice_like(value: str, choices: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """A choice that is a number or a switch, when the text spells it; else the text."""
    try:
        read = parse_json(value, "it")
    except ForeignError:
        return value
    return next((choice for choice in choices if choice == read), value)
