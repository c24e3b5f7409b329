"""What is wrong with a prompt is said before anything runs: seen, expected, what to do."""

import pytest

from ming_run.host import WorkflowError
from ming_run.node_definitions import parse_definitions
from ming_run.prompt_checks import check_prompt
from ming_run.prompt_settings import apply_settings, parse_setting

DEFINITIONS = parse_definitions(
    {
        "Make": {
            "input": {
                "required": {
                    "seed": ["INT", {"min": 0, "max": 9}],
                    "scale": ["FLOAT", {"default": 1.0}],
                    "kind": [["red", "blue"], {}],
                    "level": ["COMBO", {"options": [1, 2]}],
                    "on": ["BOOLEAN", {}],
                },
                "optional": {"before": ["THING", {}]},
            },
            "output": ["THING", "STRING"],
        },
        "Show": {
            "input": {"required": {"thing": ["THING", {}]}},
            "output": [],
            "output_node": True,
        },
        "ShowAny": {"input": {"required": {"any": ["*", {}]}}, "output": [], "output_node": True},
    }
)


def make(**changes):
    inputs = {"seed": 1, "scale": 1, "kind": "red", "level": 1, "on": True}
    return {"class_type": "Make", "inputs": {**inputs, **changes}}


def show(link, kind="Show"):
    return {"class_type": kind, "inputs": {"thing" if kind == "Show" else "any": link}}


def check(prompt):
    return check_prompt(prompt, DEFINITIONS, "file")


def test_a_good_prompt_runs_sources_first():
    prompt = {"9": show(["3", 0]), "3": make(before=["5", 0]), "5": make(), "7": make()}
    assert check(prompt) == ["5", "3", "9"]  # 7 feeds nothing that is shown


@pytest.mark.parametrize(
    "inputs",
    [{"seed": "1"}, {"seed": True}, {"seed": 1.5}, {"seed": 2.0}, {"scale": "0.5"}, {"on": 1}],
)
def test_constants_are_taken_as_the_server_takes_them(inputs):
    check({"1": make(**inputs), "3": show(["1", 0])})


def test_an_object_of_a_kind_of_its_own_is_the_servers_business():
    check({"1": make(before={"x": 1}), "3": show(["1", 0])})


def test_a_constant_that_no_input_takes_is_told():
    notes = []
    prompt = {"1": make(sed=1, preview="x"), "3": show(["1", 0])}
    check_prompt(prompt, DEFINITIONS, "file", notes.append)
    assert notes == [
        "node 1 'Make': Make has no input 'sed'; its inputs are: seed, scale, kind, level, on, "
        "before"
    ]


def test_a_long_chain_needs_no_recursion():
    prompt = {str(i): make(before=[str(i - 1), 0]) if i else make() for i in range(5000)}
    prompt["end"] = show(["4999", 0])
    assert len(check(prompt)) == 5001


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"seed": 10}, "'seed' is 10, outside 0 to 9"),
        ({"seed": "x"}, "'seed' is 'x', but INT is expected"),
        ({"seed": "10"}, "'seed' is 10, outside 0 to 9"),
        ({"seed": None}, "'seed' is None, but INT is expected"),
        ({"scale": float("nan")}, "'scale' is not a number"),
        ({"on": "false"}, "'on' is the text 'false'; expected true or false"),
        ({"kind": "green"}, "'kind' is 'green'; there is only 'red', 'blue'"),
        ({"level": 3}, "'level' is 3; there is only 1, 2"),
        ({"sed": 1, "scale": "x"}, "no input 'sed'; its inputs are: seed, scale"),
        ({"sed": ["2", 0]}, "no input 'sed'; its inputs are: seed, scale"),
        ({"before": "x"}, "'before' takes a link of type THING, not 'x'"),
        ({"before": ["2"]}, "a link is"),
        ({"before": ["8", 0]}, "linked to node 8, which is not in the file"),
        ({"before": ["2", 5]}, r"linked to output 5 of 'Make', which has 2 \(counted from 0\)"),
        ({"before": ["2", 1]}, "expects THING, but output 1 of 'Make' gives STRING"),
    ],
)
def test_faulty_inputs(inputs, message):
    prompt = {"1": make(**inputs), "2": make(), "3": show(["1", 0])}
    with pytest.raises(WorkflowError, match=f"node 1 'Make'.*{message}"):
        check(prompt)


def test_all_faults_come_in_one_message():
    prompt = {"1": make(seed=10, kind="green"), "2": show(["1", 1])}
    with pytest.raises(WorkflowError) as raised:
        check(prompt)
    assert str(raised.value).count("\n  - ") == 3


def test_a_missing_input_is_named():
    with pytest.raises(WorkflowError, match=r"'thing' \(THING\) is not connected"):
        check({"1": {"class_type": "Show", "inputs": {}}})


def test_values_that_only_the_editor_knows_are_let_through():
    prompt = {"1": make(), "2": show(["1", 1], "ShowAny")}
    prompt["2"]["inputs"]["preview"] = ""
    assert check(prompt) == ["1", "2"]


def test_a_circle_is_named():
    prompt = {"1": make(before=["2", 0]), "2": make(before=["1", 0]), "3": show(["1", 0])}
    with pytest.raises(WorkflowError, match="circle: 1 'Make' -> 2 'Make' -> 1 'Make'"):
        check(prompt)


def test_a_missing_type_suggests_what_looks_like_it():
    with pytest.raises(WorkflowError, match="'Mak', which is not among the 3.*'Make'"):
        check({"1": {"class_type": "Mak", "inputs": {}}})


def test_nothing_to_show_is_an_error():
    with pytest.raises(WorkflowError, match="no output node"):
        check({"1": make()})


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("1.seed=7", "seed", 7),
        ("My Maker.scale=2", "scale", 2.0),
        ("Make.kind=blue", "kind", "blue"),
        ("1.level=2", "level", 2),
        ("1.on=false", "on", False),
    ],
)
def test_settings_take_the_type_of_the_input(text, name, value):
    prompt = {"1": {**make(), "_meta": {"title": "My Maker"}}, "2": show(["1", 0])}
    apply_settings([parse_setting(text)], {"file": prompt}, DEFINITIONS)
    assert prompt["1"]["inputs"][name] == value
    assert type(prompt["1"]["inputs"][name]) is type(value)


def test_a_setting_reaches_every_file_that_has_the_node():
    prompts = {"a": {"1": make()}, "b": {"1": make()}, "c": {"2": make()}}
    apply_settings([parse_setting("1.seed=3")], prompts, DEFINITIONS)
    assert [prompts["a"]["1"], prompts["b"]["1"]] == [make(seed=3), make(seed=3)]
    assert prompts["c"]["2"] == make()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=7", "expected NODE.INPUT=VALUE"),
        ("1.seed", "expected NODE.INPUT=VALUE"),
        ("8.seed=7", "no such node. The nodes are: 1 'Make', 2 'Show', 3 'Show'"),
        ("Show.thing=7", "nodes 2, 3 are all called 'Show'"),
        ("1.sed=7", "no such value. It has: seed, scale, kind, level, on"),
        ("1.before=7", "no such value"),
        ("1.seed=x", "'x' is not a value of type INT"),
        ("1.on=maybe", "'maybe' is not a value of type BOOLEAN"),
    ],
)
def test_unusable_settings(text, message):
    prompt = {"1": make(), "2": show(["1", 0]), "3": show(["1", 0])}
    with pytest.raises(WorkflowError, match=message):
        apply_settings([parse_setting(text)], {"file": prompt}, DEFINITIONS)
