"""A list of prompts drives connected nodes once per row."""

import os

import pytest

pytestmark = pytest.mark.runtime

TABLE = 'name,prompt,seed,steps\ncat,"a cat, red",7,3\ndog,a dog,,\n'


@pytest.fixture
def lists(folders):
    """Files in the input folder, gone again afterwards."""
    written = []

    def write(name, text):
        path = folders / "input" / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
        return name

    yield write
    for path in written:
        path.unlink()


def outputs(pack, **inputs):
    result = pack.run("PromptList", **inputs)
    return result[0], result[1], result[2]


def test_lines_give_prompts_counted_seeds_and_numbers(pack):
    given = outputs(pack, prompts="a cat\n# not this\n\na dog\n", seed=2**64 - 1)
    assert given == (["a cat", "a dog"], [2**64 - 1, 0], ["0001", "0002"])


def test_a_table_gives_its_columns(pack, lists):
    given = outputs(pack, file=lists("rows.csv", TABLE), prompts="not these", seed=100)
    assert given == (["a cat, red", "a dog"], [7, 101], ["cat", "dog"])


def test_every_output_is_a_list(pack):
    assert all(output.is_output_list for output in pack.nodes["PromptList"].GET_SCHEMA().outputs)


def test_only_lists_in_the_input_folder_can_be_chosen(pack, lists):
    name = lists("rows.txt", "a cat\n")
    lists("picture.png", "")
    inputs = {i.id: i for i in pack.nodes["PromptList"].GET_SCHEMA().inputs}
    assert name in inputs["file"].options and "picture.png" not in inputs["file"].options
    check = pack.nodes["PromptList"].validate_inputs
    assert check(file=name) is True and check(file="none") is True
    assert check(file=None) is True  # linked: looked at when the value is known
    with pytest.raises(Exception, match="There is no list 'gone.csv'"):
        outputs(pack, file="gone.csv", prompts="", seed=0)
    for wrong in ("../rows.txt", "/etc/passwd", "picture.png"):
        assert "There is no list" in check(file=wrong)


def test_a_changed_file_is_noticed(pack, lists, folders):
    name = lists("rows.txt", "a cat\n")
    fingerprint = pack.nodes["PromptList"].fingerprint_inputs
    before = fingerprint(prompts="", file=name, seed=0)
    os.utime(folders / "input" / name, ns=(0, 0))
    assert fingerprint(prompts="", file=name, seed=0) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("name\ncat\n", "line 2 has no prompt"),
        ("prompt,seed\na cat,x\n", "line 2: the seed 'x' is not a number"),
    ],
)
def test_unusable_lists_are_named(pack, lists, text, message):
    with pytest.raises(Exception, match=message):
        pack.run("PromptList", file=lists("rows.csv", text))
