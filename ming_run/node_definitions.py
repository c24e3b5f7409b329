"""What each node type takes and gives, read from the host's `/object_info` form.

Knows nothing about graphs: only about single node types.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDGET_KINDS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "MARKDOWN")
DYNAMIC_PREFIX = "COMFY_"  # COMFY_DYNAMICCOMBO_V3, COMFY_AUTOGROW_V3, ...
_UPLOADS = ("image_upload", "video_upload", "audio_upload")
_DEFAULTS = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


@dataclass(frozen=True)
class InputDefinition:
    """One input of a node type."""

    name: str
    kind: str  # "INT", "COMBO", "IMAGE", "MINGUV_MODEL", "A,B", "*", ...
    is_required: bool
    options: Mapping[str, Any]
    choices: tuple[Any, ...] | None = None  # of a combo that lists them

    @property
    def has_widget(self) -> bool:
        """True when the editor draws a widget for it, False for a plain socket."""
        return self.kind in WIDGET_KINDS and not self.options.get("forceInput")

    @property
    def is_dynamic(self) -> bool:
        """True for inputs that unfold into others ("name.other") while a graph is edited."""
        return self.kind.startswith(DYNAMIC_PREFIX)

    @property
    def is_upload(self) -> bool:
        """True for file combos with an upload button."""
        return any(self.options.get(upload) for upload in _UPLOADS)

    @property
    def has_seed_control(self) -> bool:
        """True when the editor adds a "control after generate" widget behind it."""
        asked = self.options.get("control_after_generate")
        named_so = self.kind == "INT" and self.name in ("seed", "noise_seed")
        return bool(asked) if asked is not None else named_so

    @property
    def default(self) -> Any:  # noqa: ANN401 - any JSON value
        """The value a new node starts with."""
        if "default" in self.options:
            return self.options["default"]
        if self.choices:
            return self.choices[0]
        return _DEFAULTS.get(self.kind)


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

    def input_named(self, name: str) -> InputDefinition | None:
        """The input of that name, if there is one."""
        return next((entry for entry in self.inputs if entry.name == name), None)

    @property
    def widget_slots(self) -> tuple[str | None, ...]:
        """Which input each entry of `widgets_values` belongs to; None for the editor's own."""
        slots: list[str | None] = []
        uploads_pending = 0
        for entry in sorted(self.inputs, key=lambda item: not item.is_required):
            if not entry.is_required:  # upload buttons come behind the last required input
                slots += [None] * uploads_pending
                uploads_pending = 0
            if not entry.has_widget:
                continue
            slots.append(entry.name)
            slots += [None] * _num_control_widgets(entry)
            uploads_pending += entry.is_upload
        return (*slots, *[None] * uploads_pending)


def _num_control_widgets(entry: InputDefinition) -> int:
    if not entry.has_seed_control:
        return 0
    return 2 if entry.kind == "COMBO" else 1  # a combo also gets a filter widget


def parse_definitions(object_info: Mapping[str, Any]) -> dict[str, NodeDefinition]:
    """Read the answer of `/object_info`, or the same form made in this process."""
    return {name: _parse_node(name, entry) for name, entry in object_info.items()}


def _parse_node(class_type: str, entry: Mapping[str, Any]) -> NodeDefinition:
    sections = entry.get("input", {})
    inputs = [
        _parse_input(name, specification, section == "required")
        for section in ("required", "optional")
        for name, specification in (sections.get(section) or {}).items()
    ]
    kinds = tuple(_kind_of(kind) for kind in entry.get("output") or ())
    return NodeDefinition(
        class_type=class_type,
        display_name=entry.get("display_name") or class_type,
        inputs=tuple(inputs),
        output_kinds=kinds,
        output_names=tuple(entry.get("output_name") or kinds),
        output_is_list=tuple(entry.get("output_is_list") or [False] * len(kinds)),
        is_output_node=bool(entry.get("output_node")),
        is_input_list=bool(entry.get("is_input_list")),
        accepts_all=bool(entry.get("accept_all_inputs")),
    )


def _parse_input(name: str, specification: Any, is_required: bool) -> InputDefinition:  # noqa: ANN401, FBT001
    kind = specification[0]
    options = dict(specification[1]) if len(specification) > 1 and specification[1] else {}
    choices = kind if isinstance(kind, (list, tuple)) else options.get("options")
    return InputDefinition(
        name=name,
        kind=_kind_of(kind),
        is_required=is_required,
        options=options,
        choices=None if choices is None or options.get("remote") else tuple(choices),
    )


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
