"""Puts the cells of a row onto a workflow: which column goes to which node.

NODE.INPUT names one place. A plain column names an input: numbers and switches go to every node
that has it, texts and files need exactly one such node.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ming_core.foreign_text import several, shown
from ming_core.prompt_rows import PROMPT, Row

from ..host import Job, Prompt, RunError, WorkflowError, title_of
from ..node_definitions import InputDefinition, NodeDefinition
from ..prompt_checks import check_prompt
from ..prompt_settings import Setting, apply_settings

# What a plain list's lines are for, in the order of preference.
PROMPT_INPUTS = (PROMPT, "instruction", "question")
SHARED_KINDS = ("INT", "FLOAT", "BOOLEAN")
PREFIX_INPUT = "filename_prefix"
TEMPLATE_SLOT = "{}"


@dataclass(frozen=True)
class Task:
    """One row, ready to run. Its key is the same as long as nothing that counts has changed."""

    name: str
    key: str
    job: Job
    pictures: Mapping[str, Path]  # name in the host's input folder -> file


@dataclass(frozen=True)
class Cell(Setting):
    """A value from the list; errors name its column."""

    column: str = ""

    def __str__(self) -> str:
        return f"column {shown(self.column)}"


@dataclass(frozen=True)
class Pattern:
    """A workflow that rows are put onto."""

    prompt: Prompt
    definitions: Mapping[str, NodeDefinition]
    pictures: Mapping[str, Path]  # that the workflow itself loads
    folders: Sequence[Path]  # where pictures named in cells lie
    template: str = TEMPLATE_SLOT  # around every prompt

    def targets(self, columns: Sequence[str]) -> dict[str, list[tuple[str, InputDefinition]]]:
        """Return the places each column goes to; raises WorkflowError for one without any."""
        return {column: self._places(column) for column in columns}

    def task(self, row: Row, targets: Mapping[str, list[tuple[str, InputDefinition]]]) -> Task:
        """Put a row onto the workflow; raises WorkflowError when a cell does not fit."""
        prompt = copy.deepcopy(self.prompt)
        pictures = dict(self.pictures)
        for column, text in row.cells.items():
            for node_id, entry in targets[column]:
                value = self._value(column, text, entry, pictures)
                cell = Cell(node_id, entry.name, value, column)
                apply_settings([cell], {row.name: prompt}, self.definitions)
        check_prompt(prompt, self.definitions, row.name)
        key = _key_of(prompt)
        for node_id, node in prompt.items():
            if PREFIX_INPUT in node["inputs"]:  # its own, or the host would answer from its cache
                node["inputs"][PREFIX_INPUT] = f"batch/{row.name}_{node_id}"
        # Without the editor's file: that one has the values the workflow was saved with.
        return Task(row.name, key, Job(row.name, prompt), pictures)

    def _places(self, column: str) -> list[tuple[str, InputDefinition]]:
        names = PROMPT_INPUTS if column == PROMPT else (column,)
        found = next(filter(None, map(self._nodes_with, names)), [])
        if not found and "." in column:
            node, _, name = column.rpartition(".")
            return self._named_place(column, node, name)
        if not found:
            raise WorkflowError(
                f"column {shown(column)}: no node of the workflow has such an input. There is: "
                f"{several(sorted(self._inputs()))}; or NODE.INPUT for a single place."
            )
        is_shared = all(entry.kind in SHARED_KINDS for _, entry in found)
        if len(found) > 1 and not is_shared:
            titles = several(
                f"{node_id} {title_of(self.prompt[node_id])!r}" for node_id, _ in found
            )
            raise WorkflowError(
                f"column {shown(column)}: several nodes have this input ({titles}). Name the "
                f"column NODE.{found[0][1].name}, such as {found[0][0]}.{found[0][1].name}."
            )
        return found

    def _named_place(self, column: str, node: str, name: str) -> list[tuple[str, InputDefinition]]:
        matches = [node] if node in self.prompt else []
        matches = matches or [i for i, n in self.prompt.items() if title_of(n) == node]
        found = [place for place in self._nodes_with(name) if place[0] in matches]
        if len(found) != 1:
            nodes = several(f"{i} {title_of(n)!r}" for i, n in self.prompt.items())
            raise WorkflowError(
                f"column {shown(column)}: expected NODE.INPUT with the id or the title of one node "
                f"that has this input. The nodes are: {nodes}."
            )
        return found

    def _nodes_with(self, name: str) -> list[tuple[str, InputDefinition]]:
        """The widgets of that name; where there is none, of that name in other capitals."""
        widgets = list(self._widgets())
        exact = [place for place in widgets if place[1].name == name]
        return exact or [place for place in widgets if place[1].name.lower() == name.lower()]

    def _widgets(self) -> Iterator[tuple[str, InputDefinition]]:
        for node_id, node in self.prompt.items():
            for entry in self.definitions[node["class_type"]].inputs:
                is_linked = isinstance(node["inputs"].get(entry.name), list)
                if entry.has_widget and not is_linked:
                    yield node_id, entry

    def _inputs(self) -> set[str]:
        kinds = (self.definitions[node["class_type"]] for node in self.prompt.values())
        return {entry.name for kind in kinds for entry in kind.inputs if entry.has_widget}

    def _value(
        self, column: str, text: str, entry: InputDefinition, pictures: dict[str, Path]
    ) -> str:
        if entry.is_upload:
            file = self._picture(column, text)
            name = f"batch_{sha256(file.read_bytes()).hexdigest()[:16]}{file.suffix.lower()}"
            pictures[name] = file
            return name
        return self.template.replace(TEMPLATE_SLOT, text) if column == PROMPT else text

    def _picture(self, column: str, text: str) -> Path:
        places = [folder / text.strip() for folder in self.folders]
        for place in places:
            if place.is_file():
                return place
        raise WorkflowError(
            f"column {shown(column)}: there is no file {shown(text)} in "
            f"{' or '.join(str(folder) for folder in self.folders)}."
        )


def _key_of(prompt: Prompt) -> str:
    """The same for the same work: names of files count for nothing, they may hold the date."""
    kept = [
        (node_id, {**node, "inputs": {**node["inputs"], PREFIX_INPUT: None}})
        for node_id, node in prompt.items()
    ]
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def make_tasks(pattern: Pattern, rows: Sequence[Row]) -> tuple[list[Task], dict[str, str]]:
    """Return the rows that can run, and what is wrong with each of the others, by name."""
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    targets = pattern.targets(columns)
    tasks, faults = [], {}
    for row in rows:
        try:
            tasks.append(pattern.task(row, targets))
        except RunError as error:
            faults[row.name] = f"line {row.line}: {error}"
    return tasks, faults
