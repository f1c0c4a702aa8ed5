"""The one rule by which any picture becomes a uint8 array of the size and channels that a config asks for.

1. EXIF orientation is applied; an optional centre crop of `crop` x `crop` pixels (score_sde's CelebA: 140).
2. Channels by Pillow's conversion: 1 grey (ITU-R 601 luma), 3 RGB (alpha dropped), 4 RGBA; 16-bit grey is
   scaled to 8 bits.
3. Box average by 2 while both sides stay at least as large as the target, then bicubic (antialiased) so that
   the side that is relatively shorter fits, then a centre crop: the preparation of ADM (Dhariwal and Nichol,
   2021), here for H != W as well. A picture that already has the target size is left untouched.
"""

import dataclasses

import numpy as np
from PIL import Image, ImageOps

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L")


@dataclasses.dataclass(frozen=True)
class ImageRule:
    """height, width: pixels; channels: 1, 3 or 4; crop: side of the centre crop before resizing, 0 for none."""

    height: int
    width: int
    channels: int
    crop: int = 0

    def __post_init__(self):
        if self.channels not in MODES:
            raise ValueError(f"data.num_channels={self.channels} must be 1 (grey), 3 (RGB), 4 (RGBA) or 0 (as found)")
        if min(self.height, self.width) < 1 or self.crop < 0:
            size = self.height, self.width
            raise ValueError(f"data.image_size={size} and data.crop={self.crop} must be numbers of pixels")

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def __call__(self, image: Image.Image) -> np.ndarray:
        """`image` of any size and mode -> uint8 (height, width, channels)."""
        ImageOps.exif_transpose(image, in_place=True)
        if self.crop:
            image = centre_crop(image, min(self.crop, image.width), min(self.crop, image.height))
        image = resize(to_channels(image, self.channels), self.width, self.height)
        return np.asarray(image).reshape(self.shape)


def rule_for(data, first: Image.Image) -> ImageRule:
    """The rule of a config group `data` (image_size, num_channels, crop); 0, None or absent: as the `first` image."""
    crop, channels = data.get("crop", 0) or 0, data.get("num_channels", 0) or 0
    size = np.atleast_1d(data.get("image_size", 0) or 0)
    if len(size) > 2:
        raise ValueError(f"data.image_size={tuple(size.tolist())} must be one number or (height, width)")
    ImageOps.exif_transpose(first, in_place=True)
    limit = crop or max(first.size)
    own = min(limit, first.height), min(limit, first.width)
    height, width = (int(given) or side for given, side in zip(np.broadcast_to(size, 2), own, strict=True))
    return ImageRule(height, width, channels or channels_of(first), crop)


def channels_of(image: Image.Image) -> int:
    """1, 3 or 4: the channels that keep everything `image` holds (a grey image with alpha needs 4)."""
    if image.mode in GREY_MODES:
        return 1
    return 4 if image.has_transparency_data else 3


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """`image` in the 8-bit mode with `channels` channels; 16-bit grey v becomes round(v / 257)."""
    if image.mode.startswith("I"):
        image = Image.fromarray(np.rint(np.asarray(image) / 257).clip(0, 255).astype(np.uint8))
    mode = MODES[channels]
    return image if image.mode == mode else image.convert(mode)


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """The central width x height pixels; an odd remainder leaves one pixel more at the right and bottom."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Step 3 of the module's rule."""
    if image.size == (width, height):
        return image
    while image.width >= 2 * width and image.height >= 2 * height:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(width / image.width, height / image.height)
    fitted = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    image = image if image.size == fitted else image.resize(fitted, Image.Resampling.BICUBIC)
    return centre_crop(image, width, height)
