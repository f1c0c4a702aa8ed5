"""What the pictures of a data set are, looked up before they are read: in LOOKED_AT of them, evenly chosen.

Grey of more than 8 bits (16-bit or floating-point levels) has one white in all pictures: the smallest of WHITES that
none exceeds, for which all are looked at. So 12 bits in 16 are read as 12 bits, and floats in 0..1 as such. Colour of
16 bits is read by its upper 8 bits, all that Pillow gives; where the first of them are empty the data set is refused.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
from PIL import Image

from linnet.data.image_rule import DEEP_MODES, DEEPEST, GREY_MODES, ImageRule

LOOKED_AT = 256
WHITES = (255, 1023, 4095, 16383, DEEPEST)
FLOAT_WHITES = (1, *WHITES)
DARK = 63
"""Upper 8 bits of 14."""


class Look(NamedTuple):
    """Of one picture; size (H, W); grey, colour: the largest level of deep grey and of 16-bit colour as Pillow reads
    it, or None."""

    mode: str
    grey: float | None
    colour: int | None
    transparent: bool
    frames: bool
    size: tuple[int, int]


class Survey(NamedTuple):
    """white: the level of white in deep grey, for the image rule; how many of `seen` pictures have what; sizes: (H, W)
    of each."""

    white: float
    seen: int
    deep: int
    coloured: int
    transparent: int
    frames: int
    sizes: tuple[tuple[int, int], ...]

    def notes(self, rule: ImageRule) -> tuple[str, ...]:
        """Lines for people about what `rule` does to such pictures."""
        laid = rule.channels != 4 and self.transparent
        greyed = rule.channels == 1 and self.coloured
        wanted = sorted(rule.shape[:2])
        cropped = (sorted(min(side, rule.crop or side) for side in size) for size in self.sizes)
        enlarged = sum(short < wanted[0] or long < wanted[1] for short, long in cropped)
        lines = {
            f"have grey of more than 8 bits, read with the level {self.white} as white": self.deep,
            f"have an alpha channel, and are laid over data.background={rule.background}": laid,
            "are stored in colour, and read as grey (data.num_channels)": greyed,
            f"are smaller than {rule.height} x {rule.width} pixels, and enlarged (data.image_size)": enlarged,
            "have several frames or pages, of which the first is read": self.frames,
        }
        return tuple(f"{count} of {self.seen} images looked at {line}" for line, count in lines.items() if count)


def survey(open_image: Callable[[str], AbstractContextManager[Image.Image]], names: list[str]) -> Survey:
    """Looks at the pictures of these names. ValueError naming one that cannot be opened, or for dark 16-bit colour."""

    def look_at(name: str) -> Look:
        with open_image(name) as image:
            return look(image)

    chosen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, LOOKED_AT).astype(int))]
    with ThreadPoolExecutor() as threads:
        looks = list(threads.map(look_at, chosen))
        if any(found.grey is not None for found in looks):
            chosen = names
            looks = list(threads.map(look_at, chosen))
    colours = {name: found.colour for name, found in zip(chosen, looks, strict=True) if found.colour is not None}
    if colours and max(colours.values()) <= DARK:
        raise ValueError(
            f"{next(iter(colours))!r} and others hold colours of 14 bits or fewer in 16, of which little is in the "
            "upper 8 bits that Pillow reads: scale them to all 16 bits, or to 8"
        )
    return Survey(
        white_of(looks),
        len(looks),
        sum(found.grey is not None for found in looks),
        sum(found.mode not in GREY_MODES and found.mode != "LA" for found in looks),
        sum(found.transparent for found in looks),
        sum(found.frames for found in looks),
        tuple(found.size for found in looks),
    )


def look(image: Image.Image) -> Look:
    """What an open picture is; it is decoded only where its levels must be seen."""
    frames = getattr(image, "is_animated", False)
    deep = image.mode in DEEP_MODES
    wide = not deep and ";16" in str(getattr(image, "tile", ""))
    if deep or wide or image.mode == "P":
        image.load()
    grey = float(np.asarray(image).max()) if deep else None
    colour = int(np.asarray(image.convert("RGB")).max()) if wide else None
    return Look(image.mode, grey, colour, image.has_transparency_data, frames, image.size[::-1])


def white_of(looks: Iterable[Look]) -> float:
    """The white of the deep grey pictures among them; DEEPEST without any."""
    deep = [found for found in looks if found.grey is not None]
    largest = max((found.grey for found in deep if found.grey is not None), default=DEEPEST)
    whites = FLOAT_WHITES if any(found.mode == "F" for found in deep) else WHITES
    return next((white for white in whites if largest <= white), DEEPEST)
