"""What the nodes look like to a user and to a saved workflow."""

import inspect
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.runtime

SNAPSHOT = Path(__file__).with_name("schemas.json")
OPTIONS = ("default", "min", "max", "step", "round", "multiline", "control_after_generate")
FOUND_ON_DISK = ("checkpoint", "file")  # combos whose options depend on the machine
MAX_EXECUTE_LINES, MAX_MEDIAN_LINES = 30, 10


def test_ids_inputs_outputs_and_their_order_stay_as_saved_workflows_know_them(pack):
    schemas = {name: described(node.GET_SCHEMA()) for name, node in pack.nodes.items()}
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(schemas, indent=1) + "\n", encoding="utf-8")
        pytest.fail(f"{SNAPSHOT.name} was missing and has been written; check and commit it.")
    saved = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert schemas == saved, "Changed on purpose? Delete the snapshot and run again to renew it."


def test_every_node_input_and_output_is_explained(pack):
    for name, node in pack.nodes.items():
        schema = node.GET_SCHEMA()
        is_lite = name.startswith("MingLiteUni_")
        assert schema.node_id == (name if is_lite else f"MingUniVision_{name}")
        assert schema.category == ("MingUniVision/Lite-Uni" if is_lite else "MingUniVision")
        assert schema.display_name
        assert schema.description.endswith(".")
        for slot in [*schema.inputs, *schema.outputs]:
            assert slot.tooltip, f"{name}.{slot.id} has no tooltip"


def test_numbers_have_ranges_and_steps(pack):
    for node in pack.nodes.values():
        for slot in node.GET_SCHEMA().inputs:
            if slot.io_type in ("INT", "FLOAT"):
                assert slot.min is not None and slot.max is not None
            if slot.io_type == "FLOAT":
                assert slot.step and slot.round


def test_fields_and_options_an_older_host_lacks_are_left_out(pack, monkeypatch):
    class OldKind:
        class Input:
            def __init__(self, id, tooltip=None):
                self.id, self.tooltip = id, tooltip

    schema = __import__(f"{pack.module.__name__}.nodes.schema", fromlist=["schema"])
    old = schema.widget(OldKind, "reply", advanced=True, tooltip="x")
    assert (old.id, old.tooltip) == ("reply", "x")
    monkeypatch.setattr(schema, "_SCHEMA_FIELDS", {"display_name"})
    assert not schema.node_schema("X", display_name="x", search_aliases=["y"]).search_aliases


def test_rare_widgets_are_advanced_where_the_host_has_that(pack):
    inputs = {i.id: i for i in pack.nodes["Generate"].GET_SCHEMA().inputs}
    rare = ["reply", "max_tokens", "prompt_per_line", "schedule", "time_shift"]
    assert [name for name, i in inputs.items() if i.advanced] == rare


def test_nodes_are_thin(pack):
    lengths = sorted(body_lines(node.execute) for node in pack.nodes.values())
    assert lengths[-1] <= MAX_EXECUTE_LINES
    assert lengths[len(lengths) // 2] <= MAX_MEDIAN_LINES


def described(schema):
    """Return what a saved workflow and an API call depend on."""
    return {
        "display_name": schema.display_name,
        "is_output_node": schema.is_output_node,
        "inputs": [described_input(slot) for slot in schema.inputs],
        "outputs": [[o.id, o.io_type, bool(o.is_output_list)] for o in schema.outputs],
    }


def described_input(slot):
    options = {o: getattr(slot, o) for o in OPTIONS if getattr(slot, o, None) is not None}
    if hasattr(slot, "options") and slot.id not in FOUND_ON_DISK:
        options["options"] = slot.options
    return [slot.id, slot.io_type, "optional" if slot.optional else "required", options]


def body_lines(method):
    """Count the lines of a method behind its signature."""
    lines = inspect.getsource(method).splitlines()
    end = next(i for i, line in enumerate(lines) if line.rstrip().endswith("io.NodeOutput:"))
    return len(lines) - end - 1
