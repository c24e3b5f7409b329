"""The widgets that the page draws on a node, in its order, with the values a file holds for them.

Knows one node at a time: links and subgraphs are elsewhere.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..node_definitions import BRANCHING, InputDefinition, NodeDefinition

MISSING = object()  # the file says nothing, and the page would send nothing
# Buttons and switches that the page itself puts behind an input and keeps in the file.
_BESIDE = {("Load3D", "model_file"): 3}
_OUTSIDE_THE_FILE = ("IMAGECOMPARE",)
OURS = "MingUniVision_"
_SAMPLERS = ("KSampler", "KSamplerAdvanced")


@dataclass(frozen=True, slots=True)
class Widget:
    """One widget; `entry` is None for what only the page has, such as a button."""

    name: str
    entry: InputDefinition | None
    value: Any = MISSING


def read_widgets(
    definition: NodeDefinition, saved: object, marked: Collection[str] = ()
) -> list[Widget]:
    """Every widget with the value that the page would show.

    saved    `widgets_values` of the file: a list by position, a table by name, or None
    marked   inputs that the file marks as widgets, where this code does not know their kind
    """
    if isinstance(saved, Mapping):
        return _by_name(definition, saved, marked)
    values = [] if not isinstance(saved, Sequence) or isinstance(saved, str) else list(saved)
    stored = iter(_without_forced(definition, values))
    widgets = list(_layout(definition, stored, marked))
    if definition.class_type == "CustomCombo":
        widgets += _custom_options(widgets, list(stored))
    return [_as_saved(definition, widget, i, len(values)) for i, widget in enumerate(widgets)]


def _as_saved(definition: NodeDefinition, widget: Widget, place: int, num_saved: int) -> Widget:
    """Leave out an optional widget of ours that is younger than the file, as our page does."""
    is_younger = num_saved and place >= num_saved and definition.class_type.startswith(OURS)
    if is_younger and widget.entry is not None and not widget.entry.is_required:
        return replace(widget, value=MISSING)
    return widget


def widget_slots(definition: NodeDefinition) -> tuple[str | None, ...]:
    """Which input each entry of a new node's `widgets_values` belongs to; None for the page's."""
    return tuple(
        widget.name if widget.entry is not None else None
        for widget in read_widgets(definition, None)
        if widget.entry is None or widget.entry.widget_kind not in _OUTSIDE_THE_FILE
    )


def is_widget(entry: InputDefinition, marked: Collection[str] = ()) -> bool:
    """True when the page draws a widget for an input, or a newer page drew one."""
    return entry.has_widget or (entry.name in marked and not entry.options.get("forceInput"))


def _layout(
    definition: NodeDefinition, stored: Iterator[Any], marked: Collection[str]
) -> Iterator[Widget]:
    """Walk the page's order, taking from `stored` what belongs to each widget."""
    upload = _upload_of(definition)
    was_required = True
    for entry in definition.inputs:
        # Without a named order, the button stands behind the last required input.
        if upload and not definition.has_order and was_required and not entry.is_required:
            yield _own(stored)
            upload = None
        was_required = entry.is_required
        if is_widget(entry, marked):
            yield from _with_company(definition.class_type, entry, entry.name, stored)
    if upload:
        yield _own(stored)


def _with_company(
    class_type: str, entry: InputDefinition, name: str, stored: Iterator[Any]
) -> Iterator[Widget]:
    """A widget, the page's own ones behind it, and those that a chosen branch adds."""
    value = _value_of(class_type, entry, stored)
    yield Widget(name, entry, value)
    for _ in range(_num_own(class_type, entry)):
        yield _own(stored)
    for following in entry.branches.get(str(value), ()):
        if is_widget(following):
            yield from _with_company(class_type, following, f"{name}.{following.name}", stored)


def _value_of(class_type: str, entry: InputDefinition, stored: Iterator[Any]) -> Any:  # noqa: ANN401
    kept = entry.default if entry.default is not None else MISSING
    if entry.widget_kind in _OUTSIDE_THE_FILE:
        return kept
    value = next(stored, MISSING)
    if value is MISSING:
        return kept
    if value is None and entry.widget_kind in ("COMBO", BRANCHING):
        return entry.choices[0] if entry.choices else None
    if class_type in _SAMPLERS and entry.name == "sampler_name" and isinstance(value, str):
        return value.removeprefix("sample_")  # as the page does for files of 2023
    return value


def _num_own(class_type: str, entry: InputDefinition) -> int:
    if entry.widget_kind == "BOUNDING_BOX":
        return 4  # x, y, width, height
    if entry.widget_kind == "AUDIO_RECORD":
        return 1
    beside = _BESIDE.get((class_type, entry.name), 0)
    remote = entry.options.get("remote")
    beside += 2 if isinstance(remote, Mapping) and remote.get("refresh_button") else 0
    if entry.has_seed_control:
        beside += 2 if entry.widget_kind == "COMBO" else 1  # a combo also gets a filter
    return beside


def _own(stored: Iterator[Any]) -> Widget:
    return Widget("", None, next(stored, MISSING))


def _upload_of(definition: NodeDefinition) -> str | None:
    """The one required file combo that gets a button."""
    names = (e.name for e in definition.inputs if e.is_required and e.is_upload)
    return next(names, None)


def _by_name(
    definition: NodeDefinition, saved: Mapping[str, Any], marked: Collection[str]
) -> list[Widget]:
    names = [entry for entry in definition.inputs if is_widget(entry, marked)]
    return [
        Widget(entry.name, entry, saved.get(entry.name, _value_of("", entry, iter(()))))
        for entry in names
    ]


def _without_forced(definition: NodeDefinition, values: list[Any]) -> list[Any]:
    """Leave out what older pages stored for inputs that have become sockets only."""
    is_forced = []
    for entry in definition.inputs:
        if entry.has_widget or entry.options.get("forceInput"):
            is_forced.append(bool(entry.options.get("forceInput")))
            if entry.options.get("control_after_generate"):
                is_forced.append(False)
    if len(is_forced) != len(values):
        return values
    return [value for value, forced in zip(values, is_forced, strict=True) if not forced]


def _custom_options(widgets: Sequence[Widget], left: list[Any]) -> list[Widget]:
    """What Custom Combo keeps behind its choice: an index since 2026, then a text per option."""
    has_index = bool(left) and isinstance(left[0], int)
    options = left[has_index:]
    choice = widgets[0].value
    index = options.index(choice) if choice in options else -1
    first = 1 if has_index else 0
    named = [("index", index)] if has_index else []
    named += [(f"option{first + number}", text) for number, text in enumerate(options)]
    entry = InputDefinition("option", "STRING", is_required=False, options={})
    return [Widget(name, replace(entry, name=name), value) for name, value in named]
