"""What each node type takes and gives, read from the host's `/object_info` form.

Knows nothing about graphs: only about single node types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

DYNAMIC_PREFIX = "COMFY_"  # COMFY_DYNAMICCOMBO_V3, COMFY_AUTOGROW_V3, ...
BRANCHING = "COMFY_DYNAMICCOMBO_V3"
# The kinds that are drawn as widgets on the page of ComfyUI 0.33, and what a new one holds.
_DEFAULTS: dict[str, Any] = {
    "INT": 0,
    "FLOAT": 0.0,
    "STRING": "",
    "BOOLEAN": False,
    "COMBO": None,
    BRANCHING: None,
    "MARKDOWN": "",
    "TEXTAREA": "",
    "COLOR": "#000000",
    "COLORS": [],
    "BOUNDING_BOX": {"x": 0, "y": 0, "width": 512, "height": 512},
    "BOUNDING_BOXES": [],
    "CURVE": None,
    "RANGE": {"min": 0.0, "max": 1.0},
    "CHART": {},
    "GALLERIA": [],
    "IMAGECOMPARE": ["", ""],
    "PAINTER": "",
    "COMPOSITOR": None,
    "VIDEO_EDIT": None,
    "LOAD_3D": "",
    "WEBCAM": "",
    "AUDIO_RECORD": "",
}
WIDGET_KINDS = frozenset(_DEFAULTS)
_UPLOADS = ("image_upload", "video_upload", "audio_upload")


@dataclass(frozen=True)
class InputDefinition:
    """One input of a node type."""

    name: str
    kind: str  # "INT", "COMBO", "IMAGE", "MINGUV_MODEL", "A,B", "*", ...
    is_required: bool
    options: Mapping[str, Any]
    choices: tuple[Any, ...] | None = None  # of a combo that lists them
    branches: Mapping[str, tuple["InputDefinition", ...]] = field(default_factory=dict)
    is_in_branch: bool = False  # stands behind a choice, as "choice.name"

    @property
    def widget_kind(self) -> str:
        """The kind of widget that is drawn for it, where the kind has one."""
        return str(self.options.get("widgetType") or self.kind)

    @property
    def has_widget(self) -> bool:
        """True when the editor draws a widget for it, False for a plain socket."""
        return self.widget_kind in WIDGET_KINDS and not self.options.get("forceInput")

    @property
    def is_dynamic(self) -> bool:
        """True for inputs that unfold into others ("name.other") while a graph is edited."""
        return self.kind.startswith(DYNAMIC_PREFIX)

    @property
    def is_upload(self) -> bool:
        """True for file combos with an upload button."""
        return self.kind == "COMBO" and any(self.options.get(upload) for upload in _UPLOADS)

    @property
    def has_seed_control(self) -> bool:
        """True when the editor adds a "control after generate" widget behind it."""
        asked = self.options.get("control_after_generate")
        named_so = self.widget_kind == "INT" and self.name in ("seed", "noise_seed")
        return bool(asked) if asked is not None else named_so and not self.is_in_branch

    @property
    def default(self) -> Any:  # noqa: ANN401 - any JSON value
        """The value a new node starts with."""
        if "default" in self.options:
            return self.options["default"]
        if self.choices:
            return self.choices[0]
        return _DEFAULTS.get(self.widget_kind)


@dataclass(frozen=True)
class NodeDefinition:
    """One node type."""

    class_type: str
    display_name: str
    inputs: tuple[InputDefinition, ...]
    output_kinds: tuple[str, ...]
    output_names: tuple[str, ...]
    output_is_list: tuple[bool, ...]
    is_output_node: bool
    is_input_list: bool = False
    accepts_all: bool = False
    has_order: bool = False  # of its inputs, as hosts since 2024 give it

    def input_named(self, name: str) -> InputDefinition | None:
        """The input of that name, if there is one."""
        return next((entry for entry in self.inputs if entry.name == name), None)


def parse_definitions(object_info: Mapping[str, Any]) -> dict[str, NodeDefinition]:
    """Read the answer of `/object_info`, or the same form made in this process."""
    return {name: _parse_node(name, entry) for name, entry in object_info.items()}


def _parse_node(class_type: str, entry: Mapping[str, Any]) -> NodeDefinition:
    order = entry.get("input_order") or {}
    kinds = tuple(_kind_of(kind) for kind in entry.get("output") or ())
    return NodeDefinition(
        class_type=class_type,
        display_name=entry.get("display_name") or class_type,
        inputs=_parse_sections(entry.get("input") or {}, order),
        output_kinds=kinds,
        output_names=tuple(entry.get("output_name") or kinds),
        output_is_list=tuple(entry.get("output_is_list") or [False] * len(kinds)),
        is_output_node=bool(entry.get("output_node")),
        is_input_list=bool(entry.get("is_input_list")),
        accepts_all=bool(entry.get("accept_all_inputs")),
        has_order=bool(order),
    )


def _parse_sections(
    sections: Mapping[str, Any], order: Mapping[str, Any]
) -> tuple[InputDefinition, ...]:
    """The required inputs, then the optional ones, each in the order that the host names."""
    found = []
    for section in ("required", "optional"):
        entries = sections.get(section) or {}
        names = [name for name in order.get(section) or () if name in entries]
        for name in dict.fromkeys((*names, *entries)):
            found.append(_parse_input(name, entries[name], section == "required"))
    return tuple(found)


def _parse_input(name: str, specification: Any, is_required: bool) -> InputDefinition:  # noqa: ANN401, FBT001
    kind = specification[0]
    options = dict(specification[1]) if len(specification) > 1 and specification[1] else {}
    choices = kind if isinstance(kind, (list, tuple)) else options.get("options")
    branches: dict[str, tuple[InputDefinition, ...]] = {}
    if kind == BRANCHING:
        branches = {str(option["key"]): _parse_branch(option) for option in choices or ()}
        choices = list(branches)
    return InputDefinition(
        name=name,
        kind=_kind_of(kind),
        is_required=is_required,
        options=options,
        choices=None if choices is None or options.get("remote") else tuple(choices),
        branches=branches,
    )


def _parse_branch(option: Mapping[str, Any]) -> tuple[InputDefinition, ...]:
    inputs = _parse_sections(option.get("inputs") or {}, {})
    return tuple(replace(entry, is_in_branch=True) for entry in inputs)


def _kind_of(kind: Any) -> str:  # noqa: ANN401
    return "COMBO" if isinstance(kind, (list, tuple)) else str(kind)


def kinds_fit(given: str, wanted: str) -> bool:
    """True when an output of one kind may be linked to an input of another."""
    if "*" in (given, wanted) or "COMBO" in (given, wanted):
        return True
    if given.startswith(DYNAMIC_PREFIX) or wanted.startswith(DYNAMIC_PREFIX):
        return True
    return bool({part.strip() for part in given.split(",")} & set(_parts(wanted)))


def _parts(kinds: str) -> list[str]:
    return [part.strip() for part in kinds.split(",")]
