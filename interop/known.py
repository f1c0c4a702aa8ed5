"""Published networks that can be told by their shapes, and the config of each."""

from interop import architecture

CIFAR10 = {"nf": 128, "ch_mult": (1, 2, 2, 2), "attention_levels": 1}
NCSNPP = CIFAR10 | {
    "name": "ncsnpp",
    "embedding_type": "fourier",
    "progressive_input": "residual",
    "progressive": "none",
}
DDPMPP = CIFAR10 | {
    "name": "ncsnpp",
    "embedding_type": "positional",
    "progressive_input": "none",
    "progressive": "none",
}
EDM = {"num_res_blocks": 4, "channels": 3, "prediction": "edm"}

KNOWN: dict[str, dict] = {
    "configs/edm/cifar10_ddpmpp.py": DDPMPP | EDM | {"ch_mult": (2, 2, 2)},
    "configs/edm/cifar10_ncsnpp.py": NCSNPP | EDM | {"ch_mult": (2, 2, 2)},
    "configs/edm/ffhq64_ddpmpp.py": DDPMPP | EDM,
    "configs/edm/ffhq64_ncsnpp.py": NCSNPP | EDM,
    "configs/edm/imagenet64_adm.py": {"class_embedding": (1000, 768), "channels": 3, "prediction": "edm"},
    "configs/cld/cifar10_accelerated.py": NCSNPP | {"num_res_blocks": 8, "channels": 6, "prediction": "eps"},
    "configs/cld/cifar10_cld_sgm.py": NCSNPP | {"num_res_blocks": 8, "channels": 6, "prediction": "velocity"},
    "configs/ve/cifar10_ncsnpp.py": NCSNPP | {"num_res_blocks": 4, "channels": 3},
    "configs/ve/cifar10_ncsnpp_deep.py": NCSNPP | {"num_res_blocks": 8, "channels": 3},
    "configs/vp/cifar10_ddpmpp.py": DDPMPP | {"num_res_blocks": 4, "channels": 3},
    "configs/vp/cifar10_ddpmpp_deep.py": DDPMPP | {"num_res_blocks": 8, "channels": 3},
    "configs/vp/cifar10_ddpm.py": CIFAR10
    | {"name": "ddpm", "num_res_blocks": 2, "attn_every_block": False, "channels": 3},
}
"""Config file -> what the shapes show (see `architecture.describe`); the first that fits is named. The sub-VP networks
look like those of VP, EDM's on AFHQv2 like those on FFHQ."""


def suggestion(shapes: architecture.Shapes, fields) -> str:
    """The config of the published network that has these shapes, or ""."""
    shown = architecture.describe(shapes) | {"channels": architecture.channels(shapes)}
    shown["class_embedding"] = shapes.get("class_embedding")
    shown["prediction"] = fields.get("model.prediction", "eps")
    fitting = [path for path, signature in KNOWN.items() if all(shown.get(k) == v for k, v in signature.items())]
    return fitting[0] if fitting else ""
