"""The editor's format becomes the API format as the editor itself would send it."""

import pytest

from ming_run.editor import convert as convert_file
from ming_run.host import WorkflowError
from ming_run.node_definitions import parse_definitions

BRANCHES = [
    {"key": "a", "inputs": {"required": {"image": ["IMAGE", {}]}}},
    {"key": "b", "inputs": {"required": {"seed": ["INT", {}], "name": ["STRING", {}]}}},
]
DEFINITIONS = parse_definitions(
    {
        "Source": {
            "display_name": "A Source",
            "input": {
                "required": {
                    "seed": ["INT", {"default": 5}],
                    "words": ["STRING", {"multiline": True}],
                    "picture": [["a.png", "b.png"], {"image_upload": True}],
                },
                "optional": {"extra": ["FLOAT", {"default": 0.5}]},
            },
            "output": ["IMAGE", "STRING"],
        },
        "Filter": {
            "input": {
                "required": {
                    "text": ["STRING", {"forceInput": True}],
                    "image": ["IMAGE", {}],
                    "count": ["INT", {"default": 1, "control_after_generate": True}],
                    "names": ["STRING", {"default": ""}],
                }
            },
            "output": ["IMAGE"],
        },
        "Mixed": {
            "input": {
                "required": {
                    "text": ["STRING", {"forceInput": True}],
                    "any": ["*", {}],
                    "image": ["IMAGE", {}],
                }
            },
            "output": ["IMAGE"],
        },
        "Show": {
            "input": {"required": {"image": ["IMAGE", {}]}},
            "output": [],
            "output_node": True,
        },
        "Unfolding": {
            "input": {
                "required": {
                    "mode": ["COMFY_DYNAMICCOMBO_V3", {"options": BRANCHES}],
                    "last": ["FLOAT", {}],
                }
            },
            "output": [],
        },
    }
)


def node(number, kind, inputs=(), outputs=(), values=(), **more):
    """A node of a UI file; inputs are (name, type, link), outputs are types."""
    return {
        "id": number,
        "type": kind,
        "mode": 0,
        "inputs": [{"name": n, "type": t, "link": link} for n, t, link in inputs],
        "outputs": [{"name": t, "type": t} for t in outputs],
        "widgets_values": list(values),
        **more,
    }


def source(number, values=(7, "randomize", "hello", "b.png", "image", 0.25), **more):
    return node(number, "Source", outputs=("IMAGE", "STRING"), values=values, **more)


def show(number, link):
    return node(number, "Show", inputs=[("image", "IMAGE", link)])


def convert(nodes, links, **more):
    content = {"nodes": nodes, "links": links, **more}
    return convert_file(content, DEFINITIONS, "file.json").prompt


def test_an_optional_widget_of_ours_that_is_younger_than_the_file_is_left_out():
    memory = ["COMBO", {"options": ["all", "last turn"], "default": "last turn"}]
    inputs = {"required": {"words": ["STRING", {}]}, "optional": {"memory": memory}}
    shape = {"display_name": "", "output": [], "output_name": [], "output_is_list": []}
    ours = parse_definitions({"MingUniVision_Step": shape | {"input": inputs, "output_node": True}})
    for values, sent in (
        (["hi"], {"words": "hi"}),
        (["hi", "all"], {"words": "hi", "memory": "all"}),
    ):
        steps = [node(1, "MingUniVision_Step", values=values)]
        prompt = convert_file({"nodes": steps, "links": []}, ours, "file.json").prompt
        assert prompt["1"]["inputs"] == sent


def test_widgets_are_read_by_position_past_the_editors_own():
    prompt = convert([source(1)], [])
    assert prompt["1"] == {
        "class_type": "Source",
        "inputs": {"seed": 7, "words": "hello", "picture": "b.png", "extra": 0.25},
        "_meta": {"title": "A Source"},
    }


def test_missing_widget_values_keep_their_default():
    assert convert([source(1, values=[7])], [])["1"]["inputs"] == {
        "seed": 7,
        "words": "",
        "picture": "a.png",
        "extra": 0.5,
    }


def test_widget_values_by_name_are_read_too():
    values = {"seed": 3, "words": "x", "picture": "a.png"}
    prompt = convert([{**source(1), "widgets_values": values}], [])
    assert prompt["1"]["inputs"]["seed"] == 3


def test_shifted_widget_values_are_refused():
    with pytest.raises(WorkflowError, match="'seed' holds 'hello', but the node expects INT"):
        convert([source(1, values=["hello", 7])], [])


def test_links_and_a_title_of_its_own():
    nodes = [source(1), {**show(2, 1), "title": "Look"}]
    prompt = convert(nodes, [[1, 1, 0, 2, 0, "IMAGE"]])
    assert prompt["2"] == {
        "class_type": "Show",
        "inputs": {"image": ["1", 0]},
        "_meta": {"title": "Look"},
    }


def test_links_as_objects():
    link = {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0}
    assert convert([source(1), show(2, 1)], [{**link, "type": "IMAGE"}])["2"]["inputs"] == {
        "image": ["1", 0]
    }


def test_a_linked_widget_takes_the_link():
    filtered = node(
        2,
        "Filter",
        inputs=[("text", "STRING", 1), ("image", "IMAGE", 2), ("names", "STRING", 3)],
        outputs=["IMAGE"],
        values=[4, "fixed", "typed"],
    )
    links = [[1, 1, 1, 2, 0, "STRING"], [2, 1, 0, 2, 1, "IMAGE"], [3, 1, 1, 2, 2, "STRING"]]
    assert convert([source(1), filtered], links)["2"]["inputs"] == {
        "count": 4,
        "names": ["1", 1],
        "text": ["1", 1],
        "image": ["1", 0],
    }


def test_a_constant_list_is_wrapped():
    values = [7, "fixed", ["a", "b"], "b.png"]
    assert convert([source(1, values=values)], [])["1"]["inputs"]["words"] == {
        "__value__": ["a", "b"]
    }


def test_notes_disappear_and_reroutes_are_followed():
    nodes = [
        source(1),
        node(3, "Reroute", inputs=[("", "*", 1)], outputs=["IMAGE"]),
        node(4, "Reroute", inputs=[("", "*", 2)], outputs=["IMAGE"]),
        show(5, 3),
        node(6, "Note", values=["hi"]),
        node(7, "MarkdownNote", values=["hi"]),
    ]
    links = [[1, 1, 0, 3, 0, "IMAGE"], [2, 3, 0, 4, 0, "IMAGE"], [3, 4, 0, 5, 0, "IMAGE"]]
    prompt = convert(nodes, links)
    assert set(prompt) == {"1", "5"}
    assert prompt["5"]["inputs"] == {"image": ["1", 0]}


def test_a_primitive_becomes_its_value():
    nodes = [
        node(1, "PrimitiveNode", outputs=["INT"], values=[99, "fixed"]),
        {**source(2), "inputs": [{"name": "seed", "type": "INT", "link": 1}]},
    ]
    prompt = convert(nodes, [[1, 1, 0, 2, 0, "INT"]])
    assert set(prompt) == {"2"}
    assert prompt["2"]["inputs"]["seed"] == 99


def test_a_muted_node_and_the_links_from_it_disappear():
    prompt = convert([source(1, mode=2), show(2, 1)], [[1, 1, 0, 2, 0, "IMAGE"]])
    assert prompt == {"2": {"class_type": "Show", "inputs": {}, "_meta": {"title": "Show"}}}


def test_a_muted_value_node_leaves_the_widget_its_own_value():
    value = {**source(2), "inputs": [{"name": "words", "type": "STRING", "link": 1}]}
    prompt = convert([source(1, mode=2), value], [[1, 1, 1, 2, 0, "STRING"]])
    assert prompt["2"]["inputs"]["words"] == "hello"


def test_a_bypassed_node_passes_on_the_input_of_the_same_type():
    bypassed = node(
        2,
        "Filter",
        inputs=[("text", "STRING", 1), ("image", "IMAGE", 2)],
        outputs=["IMAGE"],
        mode=4,
    )
    links = [[1, 1, 1, 2, 0, "STRING"], [2, 1, 0, 2, 1, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]]
    prompt = convert([source(1), bypassed, show(3, 3)], links)
    assert set(prompt) == {"1", "3"}
    assert prompt["3"]["inputs"] == {"image": ["1", 0]}


@pytest.mark.parametrize("is_relayed", [False, True])
def test_an_equal_type_is_passed_on_before_one_that_only_fits(is_relayed):
    """What counts is the type at the end of the way, also behind a reroute, which has none."""
    inputs = [("text", "STRING", 1), ("any", "*", 1), ("image", "IMAGE", 2)]
    nodes = [source(1), node(2, "Mixed", inputs=inputs, outputs=["IMAGE"], mode=4)]
    links = [[1, 1, 1, 2, 0, "STRING"], [2, 1, 0, 2, 2, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]]
    if is_relayed:
        nodes.append(node(4, "Reroute", inputs=[("", "*", 3)], outputs=["IMAGE"]))
        links[-1] = [3, 2, 0, 4, 0, "IMAGE"]
        links.append([4, 4, 0, 3, 0, "IMAGE"])
    prompt = convert([*nodes, show(3, 3 + is_relayed)], links)
    assert prompt["3"]["inputs"] == {"image": ["1", 0]}


def test_a_named_pipe_reaches_into_subgraphs():
    getter = node(11, "GetNode", outputs=["IMAGE"], values=["pipe"])
    inside = {"id": "sub", "nodes": [getter, show(12, 9)], "links": [[9, 11, 0, 12, 0, "IMAGE"]]}
    setter = node(2, "SetNode", inputs=[("IMAGE", "IMAGE", 1)], values=["pipe"])
    nodes, links = [source(1), setter, node(3, "sub")], [[1, 1, 0, 2, 0, "IMAGE"]]
    prompt = convert(nodes, links, definitions={"subgraphs": [inside]})
    assert prompt["3:12"]["inputs"] == {"image": ["1", 0]}


@pytest.mark.parametrize("is_shown_outside", [False, True])
def test_the_outermost_widget_shown_for_a_value_gives_it(is_shown_outside):
    words = {"name": "words", "type": "STRING", "link": 5, "widget": {"name": "words"}}
    inner = {
        **{"id": "inner", "nodes": [{**source(20), "inputs": [words]}]},
        **{"links": [[5, -10, 0, 20, 0, "STRING"]], "inputs": [{"name": "words", "linkIds": [5]}]},
    }
    host = node(10, "inner", inputs=[("words", "STRING", None)], values=["inside"])
    outer = {"id": "outer", "nodes": [host], "links": []}
    shown = {"proxyWidgets": [["10", "words"]]} if is_shown_outside else {}
    nodes = [node(3, "outer", values=["outside"], properties=shown)]
    prompt = convert(nodes, [], definitions={"subgraphs": [outer, inner]})
    assert prompt["3:10:20"]["inputs"]["words"] == ("outside" if is_shown_outside else "inside")


def test_inputs_that_unfold_are_read_behind_their_choice():
    unfolding = node(1, "Unfolding", values=["b", 7, "x", 2.5])
    assert convert([unfolding], [])["1"]["inputs"] == {
        "mode": "b",
        "mode.seed": 7,  # without a control: only "seed" itself has one
        "mode.name": "x",
        "last": 2.5,
    }
    assert convert([node(1, "Unfolding", values=["a", 2.5])], [])["1"]["inputs"] == {
        "mode": "a",
        "last": 2.5,
    }


def test_an_unknown_type_names_its_pack_and_a_lookalike():
    unknown = node(1, "Sourc", outputs=["IMAGE"], properties={"cnr_id": "other-pack"})
    with pytest.raises(WorkflowError, match="'Sourc'.*'Source'.*'other-pack'"):
        convert([unknown], [])


def test_a_link_to_nowhere_is_named():
    with pytest.raises(WorkflowError, match="input 'image' of 'Show' is linked by link 9"):
        convert([show(1, 9)], [])


def test_reroutes_in_a_circle_are_named():
    nodes = [
        node(1, "Reroute", inputs=[("", "*", 2)], outputs=["*"]),
        node(2, "Reroute", inputs=[("", "*", 1)], outputs=["*"]),
        show(3, 3),
    ]
    links = [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 1, 0, "*"], [3, 1, 0, 3, 0, "IMAGE"]]
    with pytest.raises(WorkflowError, match="circle"):
        convert(nodes, links)


def test_a_damaged_file_is_one_message():
    with pytest.raises(WorkflowError, match="does not follow the workflow format"):
        convert([{"type": "Show"}], [])
