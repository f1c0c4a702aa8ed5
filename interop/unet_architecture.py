"""What the shapes of the parameters of a U-Net, or of its first half as a classifier, say: keys of config.model.

With L levels, n residual blocks per level and S levels with attention, where convolutions resample:

    convolutions outside blocks   2 L: the first, the last, and L - 1 each way
    residual blocks               2 L n + L + 2
    attention blocks              1 + S (2 n + 1)

Heads, and where attention acts among levels of equal width, leave no trace.
"""

import re
from collections.abc import Mapping


def fields(shapes: Mapping[str, tuple[int, ...]]) -> dict:
    """Keys of config.model that the shapes determine, fewer where residual blocks or nothing learned resamples.

    blocks: the number of residual blocks, which tells networks whose sizes are not determined.
    """
    outputs = max(_numbers(shapes, "Conv"))
    width = shapes["ResBlock_0/Conv_0/kernel"][-1]
    found = {
        "num_channels": shapes["Dense_0/kernel"][0],
        "num_classes": shapes.get("class_embedding", (0,))[0],
        "learn_sigma": shapes[f"Conv_{outputs}/kernel"][-1] == 2 * shapes["Conv_0/kernel"][-2],
        "use_scale_shift_norm": shapes["ResBlock_0/Dense_0/kernel"][-1] == 2 * width,
        "blocks": len(_numbers(shapes, "ResBlock")),
        "cross_attention": bool(_numbers(shapes, "SpatialTransformer")),
    }
    return found | _sizes(shapes, found["num_channels"])


def is_encoder(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether they are of a classifier: blocks of a U-Net, and a matrix besides the two that embed the time."""
    return "ResBlock_0/Conv_0/kernel" in shapes and "Dense_2/kernel" in shapes


def fields_of_encoder(shapes: Mapping[str, tuple[int, ...]]) -> dict:
    """The same of a classifier, without the sizes of its levels."""
    width = shapes["ResBlock_0/Conv_0/kernel"][-1]
    return {
        "num_channels": shapes["Dense_0/kernel"][0],
        "num_classes": shapes["Dense_2/kernel"][-1],
        "use_scale_shift_norm": shapes["ResBlock_0/Dense_0/kernel"][-1] == 2 * width,
        "blocks": len(_numbers(shapes, "ResBlock")),
        "pool": "attention" if "AttentionPool_0/place" in shapes else "mean",
    }


def _sizes(shapes, num_channels):
    """num_res_blocks, channel_mult and the number of levels with attention."""
    levels = len(_numbers(shapes, "Conv")) // 2
    blocks = _numbers(shapes, "ResBlock")
    depth, rest = divmod(len(blocks) - levels - 2, 2 * levels)
    if levels < 2 or rest or depth < 1:
        return {}
    widths = [shapes[f"ResBlock_{level * depth}/Conv_0/kernel"][-1] / num_channels for level in range(levels)]
    found = {"num_res_blocks": depth, "channel_mult": tuple(int(m) if m == int(m) else m for m in widths)}
    attention = len(_numbers(shapes, "AttentionBlock") | _numbers(shapes, "SpatialTransformer")) - 1
    return found | ({} if attention % (2 * depth + 1) else {"attention_levels": attention // (2 * depth + 1)})


def _numbers(shapes, kind):
    """Numbers of the layers of one class."""
    return {int(found[1]) for found in (re.match(rf"{kind}_(\d+)/", name) for name in shapes) if found}
