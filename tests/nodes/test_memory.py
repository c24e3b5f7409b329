"""What a turn remembers: the widget, the node, and workflows from before both."""

import pytest

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def talk(pack, model, context):
    """Two edits with a question between them."""
    asked = pack.run("Describe", model=model, question="What?", max_tokens=3, context=context)[1]
    return pack.run(
        "EditStep", model=model, instruction="a hat", steps=1, context=asked, memory="all"
    )[0]


@pytest.mark.parametrize(
    ("memory", "questions", "remembered"),
    [
        ("all", True, [True, True, True]),
        ("all", False, [True, False, True]),
        ("last turn", False, [False, False, True]),
        ("last 2 turns", False, [True, False, True]),
        ("last 2 turns", True, [False, True, True]),
        ("picture only", False, [False, False, False]),
    ],
)
def test_a_trimmed_context_remembers_what_was_chosen(
    pack, model, talk, memory, questions, remembered
):
    inputs = {"model": model, "context": talk, "memory": memory, "questions": questions}
    trimmed = pack.run("TrimContext", **inputs)[0]
    assert [kept for _, kept in trimmed.said] == remembered
    assert [turn.prompt_text for turn, _ in trimmed.said] == [t.prompt_text for t in talk.turns]


@pytest.mark.parametrize(
    ("node", "output", "memory", "kept"),
    [
        ("EditStep", 0, "last turn", [0, 0, 1, 1]),
        ("Generate", 0, "last turn", [0, 0, 1, 1]),
        ("Describe", 1, "last turn", [0, 0, 1, 1]),
        ("EditStep", 0, "last 2 turns", [1, 0, 1, 1]),
        ("Generate", 0, "last 2 turns", [1, 0, 1, 1]),
        ("Describe", 1, "last 2 turns", [0, 1, 1, 1]),
    ],
)
def test_the_widget_trims_what_the_turn_follows_on(pack, model, talk, node, output, memory, kept):
    """Whoever asks is told what was asked before; whoever draws needs the drawings."""
    words = {"EditStep": "instruction", "Generate": "prompt", "Describe": "question"}[node]
    inputs = {"model": model, "context": talk, words: "and now?", "memory": memory}
    made = pack.run(node, **inputs)[output]
    made = made[0] if isinstance(made, list) else made
    assert [remembered for _, remembered in made.said] == [bool(each) for each in kept]


@pytest.mark.parametrize("node", ["EditStep", "Generate", "Describe"])
def test_a_call_without_the_widget_remembers_everything(pack, model, talk, node):
    """What the programming interface and saved files from before it send."""
    words = {"EditStep": "instruction", "Generate": "prompt", "Describe": "question"}[node]
    slots = [slot for slot in pack.nodes[node].GET_SCHEMA().inputs if not slot.optional]
    given = {slot.id: slot.default for slot in slots if hasattr(slot, "default")}
    clone = pack.nodes[node].PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    given |= {"model": model, "context": talk, words: "and now?"}
    result = clone.EXECUTE_NORMALIZED(**given)
    made = result[1] if node == "Describe" else result[0]
    made = made[0] if isinstance(made, list) else made
    assert made.left_out == () and len(made.turns) == 4


def test_what_is_asked_aside_changes_no_context(pack, model, talk):
    text, context, _ = pack.run(
        "Describe", model=model, question="What?", max_tokens=4, context=talk, aside=True
    ).args
    assert context is talk and text


def test_the_new_inputs_come_last_and_are_optional(pack):
    for node, names in (
        ("EditStep", ["memory", "mask"]),
        ("Generate", ["memory"]),
        ("Describe", ["memory", "aside", "min_p", "repetition_penalty"]),
    ):
        last = pack.nodes[node].GET_SCHEMA().inputs[-len(names) :]
        assert [slot.id for slot in last] == names
        assert all(slot.optional for slot in last)
