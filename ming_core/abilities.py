"""What can be asked of a model, and a clear refusal where its family lacks it."""

from typing import Protocol

from .errors import AbilityError

GENERATE = "text to image"
EDIT = "editing a picture by words"
DESCRIBE = "describing and answering"
LATENT_CONTEXT = "a latent context"
CONDITION = "a condition to sample from"


class Able(Protocol):
    """A model that says what can be asked of it."""

    @property
    def family(self) -> str:
        """The family's name for people."""
        ...

    @property
    def abilities(self) -> frozenset[str]:
        """What can be asked of it."""
        ...


def require(model: Able, ability: str, instead: str) -> None:
    """Raise AbilityError unless a model has an ability; `instead` says what to do."""
    if ability not in model.abilities:
        raise AbilityError(
            f"The connected model is {model.family}, which does not have {ability}; it has "
            f"{', '.join(sorted(model.abilities))}. {instead}"
        )
