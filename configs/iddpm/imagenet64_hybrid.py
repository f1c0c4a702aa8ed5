r"""Improved DDPM on ImageNet at 64 pixels, unconditional, L_hybrid, cosine schedule (arXiv:2102.09672).

python main.py --config=configs/iddpm/imagenet64_hybrid.py --mode=train --workdir=runs/iddpm_imagenet64
python main.py --config=configs/iddpm/imagenet64_hybrid.py --mode=check --workdir=runs/iddpm_imagenet64 \
    --config.sampling.nfe=4000

The authors report 3.57 bits/dim and FID 19.2. 100 M parameters; the published checkpoint has 1,500,000 steps of 128
images. Not trained here.
Their FID is with all 4000 steps; without the flag 250 are taken.
"""

from linnet.configs.iddpm.cifar10_hybrid import get_config as cifar10


def get_config():
    config = cifar10()
    config.data.update(dataset="downsampled_imagenet/64x64", image_size=64)
    config.model.dropout = 0.0
    config.training.n_iters = 1_500_001
    return config
