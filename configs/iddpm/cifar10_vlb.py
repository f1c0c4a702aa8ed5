r"""Improved DDPM on CIFAR-10, L_vlb with importance sampling (arXiv:2102.09672: 2.94 bits/dim, FID 11.47).

python main.py --config=configs/iddpm/cifar10_vlb.py --mode=train --workdir=runs/iddpm_cifar10_vlb
python main.py --config=configs/iddpm/cifar10_vlb.py --mode=check --workdir=runs/iddpm_cifar10_vlb \
    --config.sampling.nfe=4000

50 M parameters; the published checkpoint has 500,000 steps.
Their FID is with all 4000 steps; without the flag 250 are taken.
"""

from linnet.configs.iddpm.cifar10_hybrid import get_config as hybrid


def get_config():
    config = hybrid()
    config.training.update(objective="vlb", timestep_sampler="loss_second_moment")
    return config
