"""What the names and shapes of parameters say about their network: keys of config.model and their values.

With L levels, n residual blocks per level, S levels with attention:

    residual blocks   resblock_type biggan: 2 L n + 3 L (those that resample have a shortcut between equal widths)
                      resblock_type ddpm, or DDPM:  2 L n + L + 2
    attention blocks  1 + S (n + 1), and 1 + S (2 n + 1) where every block on the way back has one
    image heads       a norm and a convolution; L of them with progressive = output_skip

`unet_architecture` says the same of U-Nets and of the classifiers that are their first half.
"""

import re
from collections.abc import Mapping
from typing import Any

from linnet.interop import unet_architecture

Shapes = Mapping[str, tuple[int, ...]]


def fields(shapes: Shapes) -> dict:
    """Keys of config.model that the shapes determine; only the name, or nothing, where arrays are absent or odd."""
    name = network(shapes)
    try:
        return ({"name": name} | DESCRIBED[name](shapes)) if name in DESCRIBED else {}
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return {"name": name}


def network(shapes: Shapes) -> str:
    """config.model.name by the classes of the layers, or ""."""
    if unet_architecture.is_encoder(shapes):
        return "encoder"
    classes = {name.split("/")[0].rpartition("_")[0] for name in shapes}
    return next((name for layer, name in NETWORKS.items() if layer in classes), "")


def _ddpm(shapes):
    """Keys of DDPM, which NCSN++ has as well."""
    blocks = _layers(shapes, "ResnetBlock")
    nf = shapes["Conv_0/kernel"][-1]
    biggan = blocks[0].startswith("ResnetBlockBigGANpp")
    found = {"nf": nf, "conditional": f"{blocks[0]}/Dense_0/kernel" in shapes}
    return found | _sizes(shapes, blocks, nf, biggan)


def _ncsnpp(shapes):
    """Keys of NCSN++."""
    biggan = bool(_layers(shapes, "ResnetBlockBigGANpp"))
    classes = shapes.get("class_embedding", (0,))[0]
    found = {"resblock_type": "biggan" if biggan else "ddpm", "num_classes": classes}
    return found | _ddpm(shapes) | _options(shapes)


def attention_resolutions(shapes: Shapes, found: dict, image_size: Any) -> tuple[int, ...]:
    """Image heights at which the network may have attention: those of equal widths look alike, 16 is preferred."""
    height = image_size if isinstance(image_size, int) else image_size[0]
    blocks = [*_layers(shapes, "Att"), *_layers(shapes, "SpatialTransformer")]
    widths = {shapes.get(f"{block}/GroupNorm_0/scale", (0,))[0] for block in blocks}
    unit, multipliers = found.get("nf", found.get("num_channels")), found.get("ch_mult", found.get("channel_mult", ()))
    heights = [height // 2**level for level, m in enumerate(multipliers) if m * unit in widths]
    return tuple(sorted(heights, key=lambda h: abs(h - 16))[: found.get("attention_levels") or 0])


def channels(shapes: Shapes) -> int | None:
    """Channels that the network reads, k C."""
    return shapes["Conv_0/kernel"][-2] if "Conv_0/kernel" in shapes else None


def _layers(shapes, kind):
    """Layers whose class begins with `kind`, in the order of their numbers."""
    names = {name.split("/")[0] for name in shapes if re.match(rf"{kind}[A-Za-z]*_\d+/", name)}
    return sorted(names, key=lambda name: int(name.rsplit("_", 1)[1]))


def _options(shapes):
    """Options of NCSN++ besides the sizes."""
    fourier = bool(_layers(shapes, "GaussianFourierProjection"))
    downsample, upsample = _layers(shapes, "Downsample"), _layers(shapes, "Upsample")
    found = {"embedding_type": "fourier" if fourier else "positional"}
    if downsample or upsample:
        found["fir"] = any("/Conv2d_0/" in name for name in shapes)
    biggan = bool(_layers(shapes, "ResnetBlockBigGANpp"))
    heads = len(_layers(shapes, "GroupNorm"))
    if biggan:
        found["progressive_input"] = "residual" if downsample else "none"
        found["progressive"] = "residual" if upsample else "output_skip" if heads > 1 else "none"
    if _layers(shapes, "Combine"):
        found["progressive_input"] = "input_skip"
    return found


def _sizes(shapes, blocks, nf, biggan):
    """ch_mult, num_res_blocks and the number of levels with attention."""
    widths = [shapes[f"{block}/Conv_0/kernel"][-1] for block in blocks if f"{block}/Conv_0/kernel" in shapes]
    levels = _levels(shapes, blocks, biggan)
    if len(widths) != len(blocks) or not levels:
        return {}
    depth, rest = divmod(len(blocks) - (3 * levels if biggan else levels + 2), 2 * levels)
    if rest or depth < 1:
        return {}
    starts = [level * (depth + biggan) for level in range(levels)]
    multipliers = [widths[start] / nf for start in starts]
    found = {"num_res_blocks": depth, "ch_mult": tuple(int(m) if m == int(m) else m for m in multipliers)}
    return found | _attention(len(_layers(shapes, "AttnBlock")) - 1, depth)


def _levels(shapes, blocks, biggan):
    """Number of levels: one more than there are halvings; None where the halvings have no parameters."""
    if not biggan:
        halvings = len(_layers(shapes, "Downsample"))
        return halvings + 1 if halvings else None
    inside = [
        (shapes.get(f"{b}/GroupNorm_0/scale"), shapes.get(f"{b}/Conv_0/bias"), f"{b}/Conv_2/kernel") for b in blocks
    ]
    return sum(before == after and shortcut in shapes for before, after, shortcut in inside) // 2 + 1


def _attention(count, depth):
    """How many levels have attention, and where, from the number of its blocks outside the middle."""
    for every_block, per_level in ((False, depth + 1), (True, 2 * depth + 1)):
        if count % per_level == 0:
            return {"attention_levels": count // per_level, "attn_every_block": every_block}
    return {}


NETWORKS = {
    "ResnetBlockDDPM": "ddpm",
    "ResnetBlockDDPMpp": "ncsnpp",
    "ResnetBlockBigGANpp": "ncsnpp",
    "ResBlock": "unet",
}
DESCRIBED = {
    "ddpm": _ddpm,
    "ncsnpp": _ncsnpp,
    "unet": unet_architecture.fields,
    "encoder": unet_architecture.fields_of_encoder,
}
