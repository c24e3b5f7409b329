"""When a picture in the making may be shown: painting it must stay a small share of the time.

Knows nothing about the host. A painting is paid for before it is made: what paintings have cost
so far, and what the next one is going to, is held to a share of the time spent drawing.
"""

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image

SHARE = 0.05  # of the time an image takes without previews
MARGIN = 2.0  # with attention, more tokens cost more each; and figures waver
REMEMBERED = 4


@dataclass
class PaintingPace:
    """How long the last few paintings took, by any node: (visual tokens, seconds) of each.

    Kept with a loaded model, so that its later drawings know from the start.

    fixed   seconds that a painting takes however few its tokens are
    """

    fixed: float = 0.0
    measured: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def note(self, num_tokens: int, seconds: float) -> None:
        """Take in a measurement."""
        self.measured.append((num_tokens, seconds))

    def estimate(self, num_tokens: int) -> float:
        """Return seconds that painting takes; nothing as long as nothing was measured.

        Fewer tokens cost no more than many did, and of what many cost all but the fixed part
        grows in proportion.
        """
        bounds = (
            seconds + max(0.0, seconds - self.fixed) * max(0.0, num_tokens / n - 1)
            for n, seconds in self.measured
        )
        return MARGIN * min(bounds, default=0.0)


@dataclass
class PreviewBudget:
    """What previews of one drawing may cost.

    Before anything was measured the first row of tokens is painted, the least there is to paint:
    the one painting whose cost is not known before. It counts like any other.
    """

    pace: PaintingPace
    clock: Callable[[], float] = time.perf_counter
    spent: float = 0.0
    _painted: int = 0  # version of the last painting
    _start: float = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.clock()

    def affords(self, num_tokens: int, version: int) -> bool:
        """Whether a painting of so many tokens shows something new and is paid for."""
        if num_tokens == 0 or version == self._painted:
            return False
        drawing = self.clock() - self._start - self.spent
        return self.spent + self.pace.estimate(num_tokens) <= SHARE * drawing

    @contextmanager
    def paying(self, num_tokens: int, version: int) -> Generator[None, None, None]:
        """Count what happens inside as the cost of painting so many tokens."""
        start = self.clock()
        yield
        seconds = self.clock() - start
        self.pace.note(num_tokens, seconds)
        self.spent += seconds
        self._painted = version


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Lay pictures of one size out in rows, about as many as there are columns."""
    columns = next(n for n in range(1, len(pictures) + 1) if n * n >= len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, rows * height), "grey")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet.paste(picture, (column * width, row * height))
    return sheet
