"""A node is run over lists, blocked and merged as ComfyUI does it."""

from types import SimpleNamespace

import pytest

from ming_run.node_definitions import parse_definitions
from ming_run.prompt_walk import Blocked, NodeResult, run_node


class Watcher:
    def __init__(self):
        self.notes = []

    def noted(self, message):
        self.notes.append(message)


class ExecutionBlocker:
    """Named as the host's, which is another class in each host."""

    def __init__(self, message):
        self.message = message


def define(outputs=("X",), lists=None, **more):
    entry = {
        "input": {"required": {"a": ["X", {}], "b": ["X", {}], "number": ["FLOAT", {}]}},
        "output": list(outputs),
        "output_is_list": lists or [False] * len(outputs),
        **more,
    }
    return parse_definitions({"Node": entry})["Node"]


def run(call, inputs, definition=None, watcher=None, **sources):
    results = {name: NodeResult([values]) for name, values in sources.items()}
    node = {"class_type": "Node", "inputs": inputs}
    return run_node(node, call, definition or define(), results, watcher or Watcher())


def test_constants_are_unwrapped_and_numbers_get_their_type():
    seen = {}
    run(lambda **inputs: seen.update(inputs) or (1,), {"a": {"__value__": [1, 2]}, "number": 3})
    assert seen == {"a": [1, 2], "number": 3.0}
    assert isinstance(seen["number"], float)


def test_editor_only_values_do_not_reach_the_node():
    assert run(lambda **inputs: (inputs,), {"preview": ""}).outputs == [[{}]]


def test_lists_are_mapped_and_shorter_ones_repeat_their_last():
    result = run(lambda a, b: (a + b,), {"a": ["s", 0], "b": ["t", 0]}, s="abc", t="xy")
    assert result.outputs == [["ax", "by", "cy"]]


def test_a_node_without_inputs_runs_once():
    assert run(lambda: ("one",), {}).outputs == [["one"]]


def test_list_outputs_are_joined():
    definition = define(("X", "Y"), [True, False])
    result = run(lambda a: ([a, a], a), {"a": ["s", 0]}, definition, s="pq")
    assert result.outputs == [["p", "p", "q", "q"], ["p", "q"]]


def test_a_list_node_gets_whole_lists():
    definition = define(is_input_list=True)
    result = run(
        lambda a, number: (a + number,), {"a": ["s", 0], "number": 7}, definition, s=[1, 2]
    )
    assert result.outputs == [[[1, 2, 7.0]]]


@pytest.mark.parametrize("block", [Blocked(), ExecutionBlocker(None)])
def test_a_blocked_entry_skips_only_its_own_call(block):
    called = []
    result = run(lambda a: called.append(a) or (a,), {"a": ["s", 0]}, s=[1, block, 3])
    assert called == [1, 3]
    assert result.outputs == [[1, Blocked(), 3]]


def test_a_block_with_a_message_is_told_once_and_goes_on_silently():
    watcher = Watcher()
    result = run(lambda a: (a,), {"a": ["s", 0]}, watcher=watcher, s=[ExecutionBlocker("no")])
    assert watcher.notes == ["skipped: no"]
    run(lambda a: (a,), {"a": ["s", 0]}, watcher=watcher, s=result.outputs[0])
    assert watcher.notes == ["skipped: no"]


def test_a_blocked_slot_inside_a_list_output_stays_one_entry():
    block = ExecutionBlocker(None)
    result = run(lambda: ([1, block],), {}, define(lists=[True]))
    assert result.outputs == [[1, block]]
    assert run(lambda a: (a,), {"a": ["s", 0]}, s=result.outputs[0]).outputs == [[1, Blocked()]]


def test_a_node_output_can_block_every_slot():
    output = SimpleNamespace(result=(None, None), ui=None, block_execution="why")
    result = run(lambda: output, {}, define(("X", "Y")))
    assert result.outputs == [[Blocked("why")], [Blocked("why")]]


def test_ui_values_of_all_calls_are_joined():
    result = run(lambda a: {"ui": {"text": [a]}, "result": (a,)}, {"a": ["s", 0]}, s="xy")
    assert result.ui == {"text": ["x", "y"]}
    assert result.outputs == [["x", "y"]]


def test_an_output_node_without_outputs():
    definition = define(())
    assert run(lambda: {"ui": {"text": ["x"]}}, {}, definition).outputs == []


def test_too_few_outputs_are_an_error():
    with pytest.raises(ValueError, match="gave 1 outputs, its definition has 2"):
        run(lambda: (1,), {}, define(("X", "Y")))


def test_an_empty_list_is_an_error_that_names_the_input():
    with pytest.raises(ValueError, match="input 'a' received an empty list"):
        run(lambda a: (a,), {"a": ["s", 0]}, s=[])
