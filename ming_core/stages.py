"""A stage of work, as a host that moves weights has to know it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """What a piece of work needs on the device: components by name, and room beside them [bytes].

    first    what every step reads: it gets its place before the others
    others   what takes the room that is left
    """

    first: tuple[str, ...]
    working: int
    others: tuple[str, ...] = ()
