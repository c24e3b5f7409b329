"""Turns a workflow file of the page into the prompt that the page would send for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from ming_core.errors import ForeignError
from ming_core.foreign_text import plain, shown

from ..host import Prompt, WorkflowError
from ..node_definitions import NodeDefinition
from .graph import Graph, Node, read_graph
from .group_nodes import with_subgraphs
from .links import VIRTUAL, Constant, Output, Scope, follow
from .promotion import apply_primitives, promote, shown_values
from .texts import as_page_text, dynamic_prompt, replaced
from .unknown import EXPORT_HINT, unknown_type
from .viewport import VIEW, view_of
from .widgets import Widget

PREFIX = "filename_prefix"
# Nodes whose filename prefix the page fills in; ours by our own extension of the page.
SAVERS = frozenset(
    (
        *("SaveImage", "SaveImageAdvanced", "SaveSVGNode", "SaveVideo", "SaveAnimatedWEBP"),
        *("SaveWEBM", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"),
        *("SaveGLB", "Save3DAdvanced", "SaveGaussianSplat", "SavePointCloud", "SaveAnimatedPNG"),
        *("CLIPSave", "VAESave", "ModelSave", "LoraSave", "SaveLatent"),
        *("MingUniVision_SaveImage", "MingUniVision_SaveContext"),
    )
)
_FAULTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
_FAULTS += (ForeignError,)
# Values that the page makes when it sends.
_MADE_BY_THE_PAGE = {VIEW: "a view of the scene", "WEBCAM": "a picture of the camera"}


@dataclass(frozen=True)
class Converted:
    """A prompt, and what a person should know of how it came to be.

    choices   one line for every text that was drawn
    places    what a widget on a subgraph's node feeds: {(its id or title, name): (id, input)s}
    """

    prompt: Prompt
    choices: list[str] = field(default_factory=list)
    places: Mapping[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)


def convert(
    workflow: Mapping[str, Any],
    definitions: Mapping[str, NodeDefinition],
    source: str,
    random: Random | None = None,
    now: datetime | None = None,
) -> Converted:
    """The prompt of a file. `random` draws {a|b} in texts, `now` stands for %date%."""
    try:
        graph = read_graph(with_subgraphs(workflow, definitions), definitions, source)
        conversion = _Conversion(
            definitions, source, random or Random(), now or datetime.now().astimezone(), graph
        )
        return conversion.run()
    except _FAULTS as error:
        raise WorkflowError(
            f"{source}: does not follow the workflow format ({type(error).__name__}: "
            f"{plain(error)}). Open it in ComfyUI and save it again."
        ) from error


@dataclass
class _Conversion:
    definitions: Mapping[str, NodeDefinition]
    source: str
    random: Random
    now: datetime
    graph: Graph
    choices: list[str] = field(default_factory=list)
    places: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)

    def run(self) -> Converted:
        promote(self.graph)
        apply_primitives(self.graph, self._replaced)
        prompt: Prompt = {}
        for scope, node in self._active(Scope(self.graph, self.source)):
            prompt[scope.name_of(node)] = self._entry(scope, node)
        for node in prompt.values():  # links from nodes that do not run count as none
            for name, value in list(node["inputs"].items()):
                if isinstance(value, list) and value[0] not in prompt:
                    del node["inputs"][name]
        return Converted(prompt, self.choices, self.places)

    def _active(self, scope: Scope) -> Iterator[tuple[Scope, Node]]:
        """Every node that the page sends, with the level it stands in."""
        for node in scope.graph.nodes.values():
            # The page asks for the mode of a subgraph's node only where that is not in another.
            if node.subgraph is not None and (node.is_active or scope.host is not None):
                yield from self._active(scope.inside(node))
            elif not node.is_active or node.subgraph is not None or node.type in VIRTUAL:
                continue
            elif not _is_decoration(node):
                yield scope, node

    def _entry(self, scope: Scope, node: Node) -> dict[str, Any]:
        name = scope.name_of(node)
        if node.definition is None:
            pack = node.properties.get("cnr_id")
            raise WorkflowError(unknown_type(self.source, name, node.type, self.definitions, pack))
        inputs: dict[str, Any] = {}
        for widget in node.widgets:
            if widget.name in node.values:
                inputs[widget.name] = _wrapped(widget, self._sent(name, node, widget))
        inputs.update(self._linked(scope, node))
        for (number, widget), value in (scope.host.overrides if scope.host else {}).items():
            if number == node.number and widget in node.values:
                inputs[widget] = _boxed(value)
        self._check(name, node, inputs)
        return {"class_type": node.type, "inputs": inputs, "_meta": {"title": node.title}}

    def _linked(self, scope: Scope, node: Node) -> Iterator[tuple[str, Any]]:
        for entry in node.inputs:
            found = follow(scope, node, entry)
            if isinstance(found, Output):
                yield entry.name, [found.node, found.slot]
            elif isinstance(found, Constant):
                yield entry.name, _boxed(found.value)
                self._remember(scope, node, entry.name)

    def _sent(self, name: str, node: Node, widget: Widget) -> Any:  # noqa: ANN401
        """The value of a widget as the page sends it."""
        value = node.values[widget.name]
        if widget.entry is not None and widget.entry.widget_kind == VIEW:
            return view_of(node.type, node.properties, node.values)
        if not isinstance(value, str) or widget.entry is None:
            return value
        if node.type in SAVERS and widget.name == PREFIX:
            return self._replaced(value)
        if widget.entry.options.get("dynamicPrompts") is not True:
            return value
        drawn = dynamic_prompt(value, self.random)
        if drawn != value:
            self.choices.append(f"node {name} {node.title!r}, {widget.name}: {drawn}")
        return drawn

    def _remember(self, scope: Scope, node: Node, name: str) -> None:
        """Keep which widget of the outermost subgraph's node this value came from."""
        inner: tuple[Scope, Node, str] = (scope, node, name)
        while inner[0].host is not None and inner[0].parent is not None:
            level, target, entry_name = inner
            entry = target.input_named(entry_name)
            link = level.graph.links.get(entry.link) if entry and entry.link else None
            if link is None or level.host is None or level.parent is None:
                return
            outer = level.graph.inputs[link.origin_slot].name
            for key in (level.parent.name_of(level.host), level.host.title):
                place = (scope.name_of(node), name)
                self.places.setdefault((key, outer), []).append(place)
            inner = (level.parent, level.host, outer)

    def _check(self, name: str, node: Node, inputs: Mapping[str, Any]) -> None:
        """Refuse values of a wrong kind: they are stored by position, so a shift shows here."""
        for widget in node.widgets:
            value = inputs.get(widget.name)
            if widget.entry is None or widget.name not in inputs or isinstance(value, list):
                continue
            where = f"{self.source}: {shown(node.title)}"
            made = _MADE_BY_THE_PAGE.get(widget.entry.widget_kind)
            if made and not isinstance(value, dict):
                raise WorkflowError(
                    f"{where} (node {plain(name)}): {made} is made by the page while it sends a "
                    f"workflow. {EXPORT_HINT}"
                )
            if not _may_hold(widget.entry.widget_kind, value):
                raise WorkflowError(
                    f"{where}: its widget {shown(widget.name)} holds {shown(value)}, but the node "
                    f"expects {widget.entry.widget_kind}. The file was probably saved with another "
                    "version of the node: open it in ComfyUI, check that node's values and save."
                )

    def _replaced(self, text: str) -> str:
        return replaced(text, self.now, self._value_of)

    def _value_of(self, node_name: str, widget: str) -> str | None:
        nodes = list(self.graph.everywhere())
        named = [n for n in nodes if _alias(n) == node_name]
        titled = [n for n in nodes if n.title == node_name]
        found = next(iter(named or titled), None)
        if found is None or widget not in shown_values(found):
            return None
        return as_page_text(shown_values(found)[widget])


def _alias(node: Node) -> object:
    """The name that the page replaces by; nodes other than savers have their type from birth."""
    otherwise = node.type if node.definition and node.type not in SAVERS else None
    return node.properties.get("Node name for S&R", otherwise)


def _is_decoration(node: Node) -> bool:
    """A label or a bookmark of another pack: unknown here, and without any connection."""
    return node.definition is None and not node.inputs and not node.output_kinds


def _may_hold(kind: str, value: object) -> bool:
    if kind == "BOOLEAN":
        return isinstance(value, (bool, int, float))
    if kind not in ("INT", "FLOAT"):
        return True
    try:
        float(value)  # type: ignore[arg-type] - a text may hold a number
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _wrapped(widget: Widget, value: Any) -> Any:  # noqa: ANN401
    if widget.entry is not None and widget.entry.widget_kind == "CURVE" and isinstance(value, list):
        return {"__type__": "CURVE", "__value__": value}
    return _boxed(value)


def _boxed(value: Any) -> Any:  # noqa: ANN401 - a list would be read as a link
    return {"__value__": value} if isinstance(value, list) else value
