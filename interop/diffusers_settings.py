"""config.json of diffusers' UNet2DModel: which of our networks computes the same, and the keys that make it do so.

    ddpm      attention_head_dim=None, norm_eps=1e-6, flip_sin_to_cos=False, freq_shift=1, downsample_padding=0, ...
              the networks published as google/ddpm-*
    unet      all others with positional embedding, diffusers' defaults and what its training script makes among them
    ncsnpp    time_embedding_type=fourier, Skip and AttnSkip blocks: google/ncsnpp-*

A setting that is absent has diffusers' default. One that none of them computes is refused by name.
"""

import math
from collections.abc import Callable

from ml_collections import ConfigDict

from linnet.files.refused import Refused
from linnet.models.unet import CHANNEL_MULT

DEFAULTS = {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
}
"""Arguments of UNet2DModel but for dropout and num_train_timesteps, which change nothing that is read here."""

MAX_LAYERS = 1000  # of one level
BLOCKS = {
    "ddpm": ("DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"),
    "unet": (
        *("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"),
        *("UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    ),
    "ncsnpp": ("SkipDownBlock2D", "AttnSkipDownBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D"),
}
SINGLE_HEAD = {"resnet_time_scale_shift": ("default",), "num_class_embeds": (None,), "add_attention": (True,)}
NEEDS = {
    "ddpm": SINGLE_HEAD
    | {
        "mid_block_type": ("UNetMidBlock2D",),
        "mid_block_scale_factor": (1,),
        "norm_eps": (1e-6,),
        "norm_num_groups": (32,),
        "flip_sin_to_cos": (False,),
        "freq_shift": (1,),
        "downsample_padding": (0,),
        "downsample_type": ("conv", None),
        "upsample_type": ("conv", None),
    },
    "unet": {
        "time_embedding_type": ("positional",),
        "center_input_sample": (False,),
        "mid_block_type": ("UNetMidBlock2D", None),
        "mid_block_scale_factor": (1,),
        "resnet_time_scale_shift": ("default", "scale_shift"),
        "downsample_padding": (1, 0),
        "downsample_type": ("conv", "resnet", None),
        "upsample_type": ("conv", "resnet", None),
    },
    "ncsnpp": SINGLE_HEAD
    | {
        "mid_block_type": ("UNetMidBlock2D",),
        "mid_block_scale_factor": (2**0.5,),
        "norm_eps": (1e-6,),
        "in_channels": (3,),
        "out_channels": (3,),
    },
}
COMMON = {"act_fn": ("silu", "swish"), "class_embed_type": (None,)}


class Settings:
    """The settings of one network. Refused where they describe none, or none of ours.

    path: of the file, for messages; wanted: config.model.name. name: the network of ours that computes the same;
    levels: their number; widths: their channels; attended: the levels that have attention on either way.
    """

    def __init__(self, path, given: dict, wanted: str):
        self.path = path
        self.given = DEFAULTS | given
        self.given["resnet_time_scale_shift"] = self.given["resnet_time_scale_shift"] or "default"
        self._check_levels()
        self.widths = self.given["block_out_channels"]
        self.levels = len(self.given["block_out_channels"])
        self.down, self.up = (
            [kind.removeprefix("UNetRes") for kind in self.given[f"{way}_block_types"]] for way in ("down", "up")
        )
        self.attended = {i for i in range(self.levels) if "Attn" in self.down[i] + self.up[-1 - i]}
        self.name = self._network(wanted)

    def _network(self, wanted):
        """The first network that computes what the settings say, the one that is wanted before the other."""
        names = ("unet", "ddpm") if wanted == "unet" else ("ddpm", "unet")
        names = ("ncsnpp",) if self.given["time_embedding_type"] == "fourier" else names
        for name in names:
            if not any(self._unmet(name)):
                return name
        key, allowed = next(self._unmet(max(names)))
        raise Refused(f"{self.path}: {key}={self.given[key]!r} is not supported, only {allowed}")

    def _check_levels(self):
        given = self.given
        channels, depth = given["block_out_channels"], given["layers_per_block"]
        whole = isinstance(channels, list | tuple) and channels and all(type(c) is int and c > 0 for c in channels)
        if not whole or type(depth) is not int or not 0 < depth < MAX_LAYERS:
            raise Refused(
                f"{self.path}: block_out_channels={channels!r} and layers_per_block={depth!r} describe no levels"
            )
        for key in ("down_block_types", "up_block_types"):
            types = given[key]
            if not isinstance(types, list | tuple) or len(types) != len(channels) or set(map(type, types)) != {str}:
                raise Refused(f"{self.path}: {key}={types!r} does not name the {len(channels)} levels")
        for key in ("freq_shift", "norm_eps", "mid_block_scale_factor"):
            if type(given[key]) not in (int, float):
                raise Refused(f"{self.path}: {key}={given[key]!r} is no number")
        for key in ("in_channels", "out_channels", "norm_num_groups", "attention_head_dim", "num_class_embeds"):
            optional = key in ("norm_num_groups", "attention_head_dim", "num_class_embeds")
            if not (given[key] is None and optional) and not (type(given[key]) is int and given[key] > 0):
                raise Refused(f"{self.path}: {key}={given[key]!r} is no positive number")

    def _unmet(self, name):
        """(key, what is allowed) of the settings that the network `name` does not compute."""
        given = self.given
        for key, allowed in (COMMON | NEEDS[name]).items():
            if not any(_equal(given[key], value) for value in allowed):
                yield key, " or ".join(map(repr, allowed))
        for key, kinds in (("down_block_types", self.down), ("up_block_types", self.up)):
            if not set(kinds) <= set(BLOCKS[name]):
                yield key, ", ".join(kind for kind in BLOCKS[name] if key.split("_")[0] in kind.lower())
        ways = (["Attn" in kind for kind in kinds] for kinds in (self.down, self.up[::-1]))
        if name != "unet" and next(ways) != next(ways):
            yield "up_block_types", "attention on the same levels as down_block_types"
        if any(width % self.widths[0] for width in self.widths) and name != "unet":
            yield "block_out_channels", "multiples of the first"
        if given["time_embedding_dim"] not in (None, 4 * self.widths[0]):
            yield "time_embedding_dim", 4 * self.widths[0]
        if given["norm_num_groups"] is None and name != "ncsnpp":
            yield "norm_num_groups", "a number"
        if given["add_attention"] and given["attn_norm_num_groups"] not in self._middle_groups():
            yield "attn_norm_num_groups", " or ".join(map(repr, self._middle_groups()))
        yield from self._unmet_heads(name)
        yield from self._unmet_channels(name)
        yield from self._unmet_resampling(name)

    def _middle_groups(self):
        """What attn_norm_num_groups may be: its default means the groups of the blocks, or no norm (scale_shift)."""
        groups = self.given["norm_num_groups"] or min(self.widths[-1] // 4, 32)
        return (groups,) if self.given["resnet_time_scale_shift"] == "scale_shift" else (None, groups)

    def _unmet_heads(self, name):
        head = self.given["attention_head_dim"]
        widths = [self.widths[i] for i in self.attended]
        widths += [self.widths[-1]] if self.given["add_attention"] and self.given["mid_block_type"] else []
        if head is None:
            return
        if name != "unet" and any(width != head for width in widths):
            yield "attention_head_dim", "None (one head)"
        if any(width % head for width in widths):
            yield "attention_head_dim", f"what divides {', '.join(map(str, sorted(set(widths))))} channels"

    def _unmet_channels(self, name):
        read, written = self.given["in_channels"], self.given["out_channels"]
        allowed = {"unet": (read, 2 * read, read / 2), "ddpm": (read,), "ncsnpp": (read,)}[name]
        if written not in allowed:
            yield "out_channels", " or ".join(f"{channels:g}" for channels in allowed)

    def _unmet_resampling(self, name):
        if name == "unet" and len(self._resampling()) > 1:
            yield "downsample_type", "the same way of resampling on all levels"

    def _resampling(self):
        """The ways in which levels are halved and doubled: a set of "conv" and "resnet"."""
        ways = set()
        for kinds, key in ((self.down, "downsample_type"), (self.up, "upsample_type")):
            for kind in kinds[:-1]:
                by_block = kind.startswith("Resnet") or ("Attn" in kind and self.given[key] == "resnet")
                ways.add("resnet" if by_block else "conv")
        return ways

    @property
    def heads_of(self) -> Callable[[int], int]:
        """Function of the channels of an attention block -> its heads."""
        head = self.given["attention_head_dim"]
        return lambda channels: channels // head if head else 1

    @property
    def resampled_by_blocks(self) -> bool:
        """Whether residual blocks halve and double the image, as in ADM."""
        return self._resampling() == {"resnet"}

    def fields(self, config: ConfigDict) -> dict:
        """Keys of the config with the values that the network needs; equivalent values of `config` are kept."""
        found = {"model.name": self.name, "data.centered": not self.given["center_input_sample"]}
        more = {"unet": self._unet, "ncsnpp": self._ncsnpp}.get(self.name, lambda config: {})
        return found | self._image_size(config) | self._attention(config) | more(config)

    def _image_size(self, config):
        size = self.given["sample_size"]
        ours = config.data.image_size
        size = tuple(size) if isinstance(size, list) else size
        if type(size) is not int and not isinstance(size, tuple):
            return {}
        same = _pair(size) == _pair(ours)
        return {"data.image_size": ours if same else size}

    def _attention(self, config):
        key = "attention_resolutions" if self.name == "unet" else "attn_resolutions"
        heights = [_pair(config.data.image_size)[0] // 2**level for level in range(self.levels)]
        if not heights[0]:
            return {}
        theirs = {heights[level] for level in self.attended}
        ours = config.model.get(key, ())
        same = {height for height in heights if height in ours} == theirs
        return {f"model.{key}": tuple(ours) if same else tuple(sorted(theirs, reverse=True))}

    def _unet(self, config):
        given, head = self.given, self.given["attention_head_dim"]
        ratios = [width / self.widths[0] for width in self.widths]
        multipliers = tuple(int(ratio) if ratio == int(ratio) else ratio for ratio in ratios)
        ours = tuple(config.model.get("channel_mult", ()))
        height = _pair(config.data.image_size)[0]
        heads = {"num_head_channels": head} if head else {"num_head_channels": -1, "num_heads": 1}
        found = heads | {
            "num_channels": self.widths[0],
            "channel_mult": ours if (ours or CHANNEL_MULT.get(height)) == multipliers else multipliers,
            "num_res_blocks": given["layers_per_block"],
            "use_scale_shift_norm": given["resnet_time_scale_shift"] == "scale_shift",
            "resblock_updown": self.resampled_by_blocks,
            "conv_resample": True,
            "freq_shift": float(given["freq_shift"]),
            "norm_eps": given["norm_eps"],
            "norm_num_groups": given["norm_num_groups"],
            "downsample_padding": given["downsample_padding"],
            "num_classes": given["num_class_embeds"] or 0,
            "learn_sigma": given["out_channels"] == 2 * given["in_channels"],
            "log_label": False,
        }
        return {f"model.{key}": value for key, value in found.items()}

    def _ncsnpp(self, config):
        found = {"fir": True, "skip_rescale": True, "scale_by_sigma": True, "prediction": "score"}
        ours, theirs = config.model.get("norm_num_groups", 0), self.given["norm_num_groups"] or 0
        ends = self.widths[0], self.widths[-1]
        same = all((ours or min(width // 4, 32)) == (theirs or min(width // 4, 32)) for width in ends)
        found["norm_num_groups"] = ours if same else theirs
        if self.attended and min(self.widths) < 128:  # above, all other norms have 32 groups
            found["attn_num_groups"] = 32
        return {"sde.name": "ve"} | {f"model.{key}": value for key, value in found.items()}


def _pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def _equal(a, b):
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(b, int | float):
        return a == b
    return isinstance(a, int | float) and math.isclose(a, b, rel_tol=1e-6)
