"""What previews may cost: never more than a share of the drawing, whatever painting costs."""

import importlib

import pytest
from PIL import Image

pytestmark = pytest.mark.runtime

TOKENS, ROW = 256, 16  # of a published picture


@pytest.fixture(scope="session")
def budget(pack):
    return importlib.import_module(f"{pack.module.__name__}.nodes.host.preview_budget")


class Clock:
    """Time that passes only when told to."""

    now = 0.0

    def __call__(self):
        return self.now


def draw(budget, pace, token_seconds, painting_seconds):
    """Draw a picture; return the seconds spent drawing, painting, and the tokens painted at."""
    clock = Clock()
    purse = budget.PreviewBudget(pace, clock)
    painted = []
    for token in range(1, TOKENS + 1):
        clock.now += token_seconds
        paintable = token // ROW * ROW
        if purse.affords(paintable, paintable):
            with purse.paying(paintable, paintable):
                clock.now += painting_seconds(paintable)
            painted.append(paintable)
    return token_seconds * TOKENS, clock.now - token_seconds * TOKENS, painted


@pytest.mark.parametrize("per_token", [1e-6, 1e-3, 0.02, 0.1, 0.5], ids=str)
@pytest.mark.parametrize("measured", [False, True])
def test_previews_cost_at_most_a_share_of_the_drawing(budget, per_token, measured):
    """Painting a token costs up to half of drawing one; with attention it grows on the way."""

    def painting(paintable):
        return per_token * paintable * (0.6 + 0.4 * paintable / TOKENS)

    pace = budget.PaintingPace()
    if measured:
        pace.note(TOKENS, painting(TOKENS))
    drawing, painting_total, painted = draw(budget, pace, 1.0, painting)
    assert painting_total <= 0.05 * drawing
    assert painted == sorted(set(painted)), "the same picture is not painted twice"
    if per_token <= 1e-3:
        assert len(painted) == TOKENS // ROW, "what costs nothing is shown row by row"


def test_a_cost_that_does_not_depend_on_the_size_is_not_multiplied(budget):
    pace = budget.PaintingPace(fixed=0.5)
    drawing, spent, painted = draw(budget, pace, 1.0, lambda n: 0.5 + n * 1e-4)
    assert spent <= 0.05 * drawing
    assert len(painted) >= TOKENS * 0.05 // 0.5 // 2


def test_the_first_painting_ever_is_of_one_row_and_the_only_one_not_known_before(budget):
    pace = budget.PaintingPace()
    drawing, spent, painted = draw(budget, pace, 1.0, lambda n: 100.0 * n)
    assert painted == [ROW]
    assert draw(budget, pace, 1.0, lambda n: 100.0 * n)[1:] == (0.0, []), "later ones know better"


def test_a_pause_after_a_dear_painting_is_as_long_as_it_takes_to_pay_for_it(budget):
    pace = budget.PaintingPace()
    pace.note(TOKENS, 0.01)
    costs = iter([8.0, *[1e-3] * 20])  # the first is far dearer than was thought
    _, spent, painted = draw(budget, pace, 1.0, lambda n: next(costs))
    assert painted[0] == ROW
    assert all(after >= 8.0 / 0.05 for after in painted[1:])


def test_a_picture_that_is_whole_from_the_start_is_shown_again_when_it_has_changed(budget):
    purse = budget.PreviewBudget(budget.PaintingPace(), clock := Clock())
    clock.now += 1.0
    for version in (1, 2):
        assert purse.affords(TOKENS, version)
        with purse.paying(TOKENS, version):
            clock.now += 1e-3
        assert not purse.affords(TOKENS, version)


def test_what_pixel_decode_takes_is_what_previews_reckon_with(pack, model, features):
    model.pace.measured.clear()
    pack.run("PixelDecode", model=model, features=features)
    ((num_tokens, seconds),) = model.pace.measured
    assert num_tokens == features.values.shape[1] and 0 < seconds < 10


@pytest.mark.parametrize(("count", "size"), [(1, (8, 4)), (2, (16, 4)), (3, (16, 8)), (5, (24, 8))])
def test_pictures_of_a_batch_lie_side_by_side(budget, count, size):
    pictures = [Image.new("RGB", (8, 4), (index, 0, 0)) for index in range(count)]
    sheet = budget.side_by_side(pictures)
    assert sheet.size == size
    shown = [sheet.getpixel((x, y))[0] for y in range(0, size[1], 4) for x in range(0, size[0], 8)]
    assert shown[:count] == list(range(count))
