"""Names of colours as people use them: regions of hue, saturation and value."""

import colorsys
from random import Random

Colour = tuple[int, int, int]  # red, green, blue, of 255

# Hue in degrees (may pass 360), saturation and value: what can be called so. Regions overlap, as
# names do; COMMON are those that nearly everybody uses.
REGIONS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "black": ((0, 360), (0.0, 1.0), (0.0, 0.24)),
    "white": ((0, 360), (0.0, 0.14), (0.88, 1.0)),
    "grey": ((0, 360), (0.0, 0.18), (0.25, 0.88)),
    "red": ((344, 374), (0.5, 1.0), (0.4, 1.0)),
    "orange": ((16, 43), (0.55, 1.0), (0.68, 1.0)),
    "yellow": ((43, 68), (0.45, 1.0), (0.65, 1.0)),
    "green": ((75, 168), (0.25, 1.0), (0.25, 1.0)),
    "blue": ((195, 258), (0.35, 1.0), (0.24, 1.0)),
    "purple": ((258, 322), (0.25, 1.0), (0.25, 1.0)),
    "pink": ((305, 385), (0.15, 0.65), (0.7, 1.0)),
    "brown": ((8, 44), (0.3, 1.0), (0.24, 0.68)),
    "cyan": ((168, 200), (0.35, 1.0), (0.6, 1.0)),
}
# Where nobody would call it otherwise: what is drawn for questions comes from here.
CORES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "black": ((0, 360), (0.0, 0.3), (0.03, 0.14)),
    "white": ((0, 360), (0.0, 0.04), (0.95, 1.0)),
    "red": ((352, 366), (0.75, 0.95), (0.75, 0.95)),
    "orange": ((25, 34), (0.8, 0.95), (0.92, 1.0)),
    "yellow": ((48, 58), (0.7, 0.9), (0.9, 1.0)),
    "green": ((110, 145), (0.6, 0.85), (0.5, 0.75)),
    "blue": ((215, 235), (0.7, 0.9), (0.7, 0.95)),
    "purple": ((275, 295), (0.5, 0.75), (0.5, 0.75)),
}
COMMON = tuple(CORES)


def is_called(colour: Colour, name: str) -> bool:
    """Tell whether people would call a colour by a name of REGIONS."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    (low, high), saturations, values = REGIONS[name]
    turned = hue * 360
    in_hue = low <= turned <= high or low <= turned + 360 <= high
    return in_hue and _within(saturation, saturations) and _within(value, values)


def some_colour(name: str, random: Random) -> Colour:
    """Return a colour that everybody calls by a name of CORES."""
    hue, saturation, value = (random.uniform(*span) for span in CORES[name])
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _within(number: float, span: tuple[float, float]) -> bool:
    return span[0] - 1e-9 <= number <= span[1] + 1e-9
