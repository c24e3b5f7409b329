"""The README's first workflow does what it says with the model that is there without downloads."""

from ming_exam.sight import look
from ming_exam.wishes import Wanted, Wish
from tools.draw_first_workflow import pictures, prompts

SHOWN = [
    Wish((Wanted("circle", "red", "middle", "large"),), "blue"),
    Wish((Wanted("circle", "yellow", "middle", "large"),), "blue"),
    Wish((Wanted("star", "green", "middle", "large"),), "blue"),
]


def test_the_first_workflow_draws_what_it_says():
    assert len(prompts()) == len(SHOWN)
    for wish, picture in zip(SHOWN, pictures(), strict=True):
        assert wish.is_met(look(picture))
