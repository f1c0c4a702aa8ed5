"""Published networks that can be told by their shapes, the config of each, and what that config must say."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from linnet.interop import architecture

CIFAR10 = {"nf": 128, "ch_mult": (1, 2, 2, 2), "attention_levels": 1}
NCSNPP = CIFAR10 | {
    "name": "ncsnpp",
    "num_classes": 0,
    "fir": True,
    "embedding_type": "fourier",
    "progressive_input": "residual",
    "progressive": "none",
}
DDPMPP = CIFAR10 | {
    "name": "ncsnpp",
    "num_classes": 0,
    "embedding_type": "positional",
    "progressive_input": "none",
    "progressive": "none",
}
CELEBAHQ_CLD = DDPMPP | {"ch_mult": (1, 1, 2, 2, 2, 2, 2), "channels": 6, "prediction": "velocity"}
CLD_SGM_LATER = "--config.model.num_res_blocks=4 --config.sde.beta_0=0.1 --config.sde.beta_1=6.9"
EDM = {"num_res_blocks": 4, "channels": 3, "prediction": "edm"}
CLASSES = {"num_classes": 10}
DDPM = CIFAR10 | {"name": "ddpm", "num_res_blocks": 2, "channels": 3}
NCSNPP_256 = {
    "name": "ncsnpp",
    "nf": 128,
    "ch_mult": (1, 1, 2, 2, 2, 2, 2),
    "num_res_blocks": 2,
    "embedding_type": "fourier",
    "progressive_input": "input_skip",
    "progressive": "output_skip",
    "attention_levels": 1,
    "channels": 3,
}
UNET = {
    "name": "unet",
    "num_channels": 128,
    "num_res_blocks": 3,
    "num_classes": 0,
    "learn_sigma": True,
    "use_scale_shift_norm": True,
    "cross_attention": False,
    "attention_levels": 2,
    "channels": 3,
    "prediction": "eps",
}
GUIDED = {
    "name": "unet",
    "num_classes": 1000,
    "learn_sigma": True,
    "channel_mult": None,  # residual blocks resample
    "channels": 3,
    "prediction": "eps",
}
DDDM = UNET | {"learn_sigma": False, "cross_attention": True, "prediction": "direct"}
LEVELS_32 = {"channel_mult": (1, 2, 2, 2)}
LEVELS_64 = {"channel_mult": (1, 2, 3, 4)}
LEVELS_256 = {"channel_mult": (1, 1, 2, 2, 4, 4), "num_res_blocks": 2}
DIFFUSERS = "configs/ddpm/diffusers.py"  # of its training script

KNOWN: dict[str, dict] = {
    "configs/edm/cifar10_ddpmpp.py": DDPMPP | EDM | {"ch_mult": (2, 2, 2)},
    "configs/edm/cifar10_ddpmpp.py --config.model.num_classes=10": DDPMPP | EDM | CLASSES | {"ch_mult": (2, 2, 2)},
    "configs/edm/cifar10_ncsnpp.py": NCSNPP | EDM | {"ch_mult": (2, 2, 2)},
    "configs/edm/cifar10_ncsnpp.py --config.model.num_classes=10": NCSNPP | EDM | CLASSES | {"ch_mult": (2, 2, 2)},
    "configs/edm/ffhq64_ddpmpp.py": DDPMPP | EDM,
    "configs/edm/ffhq64_ncsnpp.py": NCSNPP | EDM,
    "configs/edm/imagenet64_adm.py": {"num_channels": 192, "num_classes": 1000, "channels": 3, "prediction": "edm"},
    "configs/cld/cifar10_accelerated.py": NCSNPP | {"num_res_blocks": 8, "channels": 6, "prediction": "eps"},
    "configs/cld/cifar10_cld_sgm.py": NCSNPP | {"num_res_blocks": 8, "channels": 6, "prediction": "velocity"},
    "configs/cld/celebahq_cld_sgm.py": CELEBAHQ_CLD | {"num_res_blocks": 2},
    f"configs/cld/celebahq_cld_sgm.py {CLD_SGM_LATER}": CELEBAHQ_CLD | {"num_res_blocks": 4},
    "configs/ve/cifar10_ncsnpp.py": NCSNPP | {"num_res_blocks": 4, "channels": 3},
    "configs/ve/cifar10_ncsnpp_deep.py": NCSNPP | {"num_res_blocks": 8, "channels": 3},
    "configs/ve/ncsnpp_256.py": NCSNPP_256,
    "configs/vp/cifar10_ddpmpp.py": DDPMPP | {"num_res_blocks": 4, "channels": 3},
    "configs/vp/cifar10_ddpmpp_deep.py": DDPMPP | {"num_res_blocks": 8, "channels": 3},
    "configs/vp/cifar10_ddpm.py": DDPM | {"attn_every_block": False},
    "configs/vp/cifar10_ddpm.py --config.model.attn_every_block=True": DDPM | {"attn_every_block": True},
    "configs/iddpm/cifar10_hybrid.py": UNET | LEVELS_32,
    "configs/iddpm/imagenet64_hybrid.py": UNET | LEVELS_64,
    "configs/iddpm/imagenet64_class.py": UNET | LEVELS_64 | {"num_channels": 192, "num_classes": 1000},
    "configs/iddpm/lsun_bedroom.py": UNET | LEVELS_256 | {"use_scale_shift_norm": False, "attention_levels": 1},
    DIFFUSERS: {
        "name": "unet",
        "num_channels": 128,
        "channel_mult": (1, 1, 2, 2, 4, 4),
        "num_res_blocks": 2,
        "num_classes": 0,
        "learn_sigma": False,
        "use_scale_shift_norm": False,
        "attention_levels": 1,
        "channels": 3,
        "prediction": "eps",
    },
    "configs/iddpm/upsampler_64_256.py": UNET
    | LEVELS_256
    | {"num_channels": 192, "num_classes": 1000, "channels": 6, "learn_sigma": False},
    "configs/guided/imagenet64.py": GUIDED | {"num_channels": 192, "blocks": 36},
    "configs/guided/imagenet256.py": GUIDED | {"num_channels": 256, "blocks": 42},
    "configs/guided/imagenet256.py --config.model.num_classes=0": GUIDED
    | {"num_channels": 256, "blocks": 42, "num_classes": 0},
    "configs/dddm/cifar10_vp.py": DDDM | LEVELS_32,
    "configs/dddm/imagenet64.py": DDDM | LEVELS_64 | {"num_classes": 1000},
}
"""Config file, with flags -> what the shapes show (see `architecture.fields`); the first that fits is named.

Networks that look alike: those of sub-VP and VP, of EDM on AFHQv2 and FFHQ, of L_vlb and L_hybrid, of DDDM with VE and
VP. learn_sigma compares outputs with inputs, of which super-resolution has twice as many.
"""

SCORE_SDE = {"model.skip_rescale": True, "model.mixed_score": False, "data.centered": True}
STATED = {
    "configs/ve/": SCORE_SDE
    | {"sde.name": "ve", "model.prediction": "score", "model.scale_by_sigma": True, "data.centered": False},
    "configs/vp/": SCORE_SDE | {"sde.name": "vp", "model.prediction": "eps", "model.scale_by_sigma": False},
    "configs/cld/": SCORE_SDE | {"sde.name": "cld", "model.prediction": "eps", "model.scale_by_sigma": False},
}
"""Beginning of the config of a network of score_sde or gDDIM -> fields that the shapes do not show."""


PROCESSES = ("vp", "ve", "cld")
"""Folders of KNOWN that are named after their process."""


def suggestion(shapes: architecture.Shapes, fields: Mapping[str, Any]) -> str:
    """The config of the published network that has these shapes, or "". fields: what else the file says."""
    shown = architecture.fields(shapes) | {"channels": architecture.channels(shapes)}
    shown["prediction"] = fields.get("model.prediction", "eps")
    others = [f"configs/{name}/" for name in PROCESSES if fields.get("sde.name", name) != name]
    for path, signature in KNOWN.items():
        if all(shown.get(key) == value for key, value in signature.items()) and not path.startswith(tuple(others)):
            return path
    return ""


def stated(leaves: Mapping[str, Any], config: ConfigDict) -> dict:
    """Fields of a file of score_sde or gDDIM, {} unless its shapes are those of a published network.

    Networks of sub-VP look like those of VP, so both processes are right for them.
    """
    path = suggestion({name: leaf.shape for name, leaf in leaves.items()}, {})
    fields = next((fields for start, fields in STATED.items() if path.startswith(start)), {})
    return fields | ({"sde.name": "subvp"} if fields.get("sde.name") == "vp" and config.sde.name == "subvp" else {})


def family(fields: Mapping[str, Any], process: str) -> str:
    """Where configs with such networks are; fields: what the file says."""
    if "model.downsample_padding" in fields:
        return f"{DIFFUSERS} with the flags that are named under it"
    folder = {"unet": "iddpm", "ddpm": "ddpm", "mlp": "toy"}.get(fields.get("model.name", ""), process)
    return f"one of configs/{folder}/"
