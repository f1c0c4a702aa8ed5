"""Blurring diffusion on CIFAR-10 with DDPM++ deep, as in gDDIM's experiments (arXiv:2206.05564).

python main.py --config=configs/blur/cifar10.py --mode=train --workdir=runs/blur_cifar10
python main.py --config=configs/blur/cifar10.py --mode=check --workdir=runs/blur_cifar10

Not trained here.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("blur", "ncsnpp")
    config.model.num_res_blocks = 8
    return config
