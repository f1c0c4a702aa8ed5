r"""Improved DDPM on ImageNet at 64 pixels, unconditional, L_vlb with importance sampling (arXiv:2102.09672).

python main.py --config=configs/iddpm/imagenet64_vlb.py --mode=train --workdir=runs/iddpm_imagenet64_vlb
python main.py --config=configs/iddpm/imagenet64_vlb.py --mode=check --workdir=runs/iddpm_imagenet64_vlb \
    --config.sampling.nfe=4000

The authors report 3.53 bits/dim and FID 40.1. 100 M parameters; the published checkpoint has 1,500,000 steps of 128
images. Not trained here.
Their FID is with all 4000 steps; without the flag 250 are taken.
"""

from linnet.configs.iddpm.imagenet64_hybrid import get_config as hybrid


def get_config():
    config = hybrid()
    config.training.update(objective="vlb", timestep_sampler="loss_second_moment")
    return config
