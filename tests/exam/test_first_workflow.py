"""The README's first workflow does what it says with the model that is there without downloads."""

from ming_exam.expectations import Expected, Wanted
from ming_exam.sight import look
from tools.draw_first_workflow import pictures, prompts

SHOWN = [
    Expected((Wanted("circle", "red", "middle", "large"),), "blue"),
    Expected((Wanted("circle", "yellow", "middle", "large"),), "blue"),
    Expected((Wanted("star", "green", "middle", "large"),), "blue"),
]


def test_the_first_workflow_draws_what_it_says():
    assert len(prompts()) == len(SHOWN)
    for expected, picture in zip(SHOWN, pictures(), strict=True):
        assert expected.is_met(look(picture))
