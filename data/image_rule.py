"""The one rule by which any picture becomes a uint8 array of the size and channels that a config asks for.

1. EXIF orientation is applied; of animations and of files with several pages the first frame is taken; an optional
   centre crop of `crop` x `crop` pixels (score_sde's CelebA: 140).
2. Grey of more than 8 bits is scaled to 8: v becomes round(255 v / white), by the white that data/survey.py finds.
3. Channels by Pillow's conversion: 1 grey (ITU-R 601 luma), 3 RGB, 4 RGBA. Where alpha is not kept, the picture is laid
   over `background`: what is stored under transparent pixels is not meant to be seen.
4. Box average by 2 while both sides stay at least as large as the target, then bicubic (antialiased) so that
   the side that is relatively shorter fits, then a centre crop: the preparation of ADM (Dhariwal and Nichol,
   2021), here for H != W as well. A picture that already has the target size is left untouched.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict
from PIL import ExifTags, Image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
GREY_MODES = ("1", "L", *DEEP_MODES)
WHITE = (255, 255, 255)
DEEPEST = 65535
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what puts the picture upright."""


IMAGES = ("crop", "background", "uniform_dequantization", "low_res_size", "low_res_path")
"""Keys of config.data that data sets of images take."""


@dataclasses.dataclass(frozen=True)
class ImageRule:
    """height, width: pixels; channels: 1, 3 or 4; crop: side of the centre crop before resizing, 0 for none.

    background: (R, G, B) in 0..255 under transparent pixels, for 1 and 3 channels; white: the level of white in grey
    pictures of more than 8 bits.
    """

    height: int
    width: int
    channels: int
    crop: int = 0
    background: tuple[int, int, int] = WHITE
    white: float = DEEPEST

    def __post_init__(self):
        if self.channels not in MODES:
            raise ValueError(f"data.num_channels={self.channels} must be 1 (grey), 3 (RGB), 4 (RGBA) or 0 (as found)")
        if min(self.height, self.width) < 1 or self.crop < 0:
            size = self.height, self.width
            raise ValueError(f"data.image_size={size} and data.crop={self.crop} must be numbers of pixels")
        if len(self.background) != 3 or not all(level in range(256) for level in self.background):
            raise ValueError(f"data.background={self.background} must be three levels (R, G, B) in 0 to 255")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of what the rule makes."""
        return self.height, self.width, self.channels

    def __call__(self, image: Image.Image) -> np.ndarray:
        """`image` of any size and mode -> uint8 (height, width, channels). ValueError for levels outside 0..white."""
        image = upright(image)
        if self.crop:
            image = centre_crop(image, min(self.crop, image.width), min(self.crop, image.height))
        image = resize(self._with_channels(image), self.width, self.height)
        return np.asarray(image).reshape(self.shape)

    def _with_channels(self, image: Image.Image) -> Image.Image:
        """`image` in the 8-bit mode with the rule's channels."""
        if image.mode in DEEP_MODES:
            image = to_8_bits(image, self.white)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            if self.channels != 4:
                image = Image.alpha_composite(Image.new("RGBA", image.size, (*self.background, 255)), image)
        mode = MODES[self.channels]
        return image if image.mode == mode else image.convert(mode)


def rule_for(settings: ConfigDict, first: Image.Image, white: float = DEEPEST) -> ImageRule:
    """The rule of a config group `data` (image_size, num_channels, crop, background); 0, None or absent: as `first`."""
    crop, channels = settings.get("crop", 0) or 0, settings.get("num_channels", 0) or 0
    size = np.atleast_1d(settings.get("image_size", 0) or 0)
    if len(size) > 2:
        raise ValueError(f"data.image_size={tuple(size.tolist())} must be one number or (height, width)")
    first = upright(first)
    limit = crop or max(first.size)
    own = min(limit, first.height), min(limit, first.width)
    height, width = (int(given) or side for given, side in zip(np.broadcast_to(size, 2), own, strict=True))
    background = tuple(settings.get("background", WHITE))
    return ImageRule(height, width, channels or channels_of(first), crop, background, white)


def upright(image: Image.Image) -> Image.Image:
    """`image` as its EXIF orientation says that it is to be seen; other tags, however odd, are not read.

    EXIF of which nothing can be read says nothing: a warning names the file.
    """
    image.load()
    exif: Mapping = {}
    with contextlib.suppress(Exception):  # of many types, by format and damage
        exif = image.getexif()
    if image.info.get("exif") and not exif:
        name = getattr(image, "filename", "a picture")
        warnings.warn(f"{name!r} is taken as it is stored: its EXIF data cannot be read", stacklevel=2)
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    if isinstance(orientation, bytes | tuple) and orientation:
        orientation = orientation[0]
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def channels_of(image: Image.Image) -> int:
    """1, 3 or 4: the channels that keep everything `image` holds (a grey image with alpha needs 4)."""
    if image.has_transparency_data:
        return 4
    return 1 if image.mode in GREY_MODES else 3


def to_8_bits(image: Image.Image, white: float) -> Image.Image:
    """Step 2 of the module's rule. ValueError for levels outside 0..white."""
    levels = np.asarray(image)
    if not (levels.min() >= 0 and levels.max() <= white):
        raise ValueError(f"grey levels {levels.min()} to {levels.max()} are not within 0 to {white}, the white of all")
    return Image.fromarray(np.rint(levels * (255.0 / white)).astype(np.uint8))


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """The central width x height pixels; an odd remainder leaves one pixel more at the right and bottom."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Step 4 of the module's rule."""
    if image.size == (width, height):
        return image
    while image.width >= 2 * width and image.height >= 2 * height:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(width / image.width, height / image.height)
    fitted = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    image = image if image.size == fitted else image.resize(fitted, Image.Resampling.BICUBIC)
    return centre_crop(image, width, height)
