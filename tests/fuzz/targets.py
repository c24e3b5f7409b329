"""What is fuzzed: a name, its share of the cases, and how its first inputs are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from . import checkpoints, contexts, hubs, lists, servers, widgets, workflows
from .checkpoints import Case


@dataclass(frozen=True)
class Target:
    """One kind of input. Shares are such that each kind takes about as much time as the others."""

    name: str
    share: int
    prepare: Callable[[Path], Case]

    def dice(self, seed: int, number: int) -> Random:
        """Return the dice of one case: the same for ever, whatever ran before."""
        return Random(f"{self.name} {seed} {number}")


ALL: tuple[Target, ...] = (
    Target("lists", 40, lists.lists),
    Target("hubs", 40, hubs.hubs),
    Target("workflows", 20, workflows.workflows),
    Target("servers", 20, servers.servers),
    Target("widgets", 10, widgets.widgets),
    Target("contexts", 20, contexts.contexts),
    Target("odd entries", 10, checkpoints.odd_entries),
    Target("univision", 4, checkpoints.univision),
    Target("lite_uni", 4, checkpoints.lite_uni),
)


def chosen(names: Sequence[str]) -> tuple[Target, ...]:
    """Return the targets of some names, or all that can run here."""
    possible = [t for t in ALL if t.name != "widgets" or widgets.is_possible()]
    return tuple(target for target in possible if not names or target.name in names)
