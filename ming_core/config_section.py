"""One object of a config.json, read key by key with errors that name the key."""

import math
from typing import Any, cast

from .errors import ConfigError
from .foreign_text import shown

LARGEST = 2**31 - 1  # of a count or a width


class Section:
    """One object of a config.json, read key by key with errors that name the key."""

    def __init__(self, values: object, name: str) -> None:
        if not isinstance(values, dict):
            raise ConfigError(f"config.json: {name} is {shown(values)}; expected an object.")
        self.values = cast("dict[str, Any]", values)
        self.name = name

    def section(self, key: str) -> "Section":
        """Return the nested object `key`."""
        return Section(self._required(key), f"{self.name}.{key}")

    def integer(self, key: str, default: int | None = None, most: int = LARGEST) -> int:
        """Return a whole number from 1 to `most`; digits in a string count."""
        value = self._required(key) if default is None else self.values.get(key, default)
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = 0
        if not 1 <= number <= most or isinstance(value, bool) or number != float(value):
            raise ConfigError(
                f"{self._at(key)} is {shown(value)}; expected a whole number from 1 to {most:,}."
            )
        return number

    def optional_integer(self, key: str) -> int | None:
        """Return a whole number of at least 1, or None when the key is absent."""
        return self.integer(key) if self.values.get(key) is not None else None

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self._required(key) if default is None else self.values.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise ConfigError(f"{self._at(key)} is {shown(value)}; expected a number.")
        return float(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{self._at(key)} is {shown(value)}; expected true or false.")
        return value

    def text(self, key: str, default: str) -> str:
        """Return a string."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise ConfigError(f"{self._at(key)} is {shown(value)}; expected a string.")
        return value

    def only(self, key: str, supported: object) -> None:
        """Refuse any value of `key` but the supported one; a missing key is that value."""
        value = self.values.get(key, supported)
        if value != supported:
            raise ConfigError(
                f"{self._at(key)} is {shown(value)}; this engine supports only {shown(supported)}. "
                "The checkpoint is of a kind it was not written for."
            )

    def _required(self, key: str) -> Any:  # noqa: ANN401  JSON
        if key not in self.values:
            raise ConfigError(f"{self._at(key)} is missing; is this the published config.json?")
        return self.values[key]

    def _at(self, key: str) -> str:
        return f"config.json: {self.name}.{key}"
