r"""DDPM on CIFAR-10: its network and its discrete chain of 1000 states (its authors report FID 3.17 at 1000 steps).

python main.py --config=configs/vp/cifar10_ddpm.py --mode=train --workdir=runs/vp_cifar10_ddpm
python main.py --config=configs/vp/cifar10_ddpm.py --mode=check --workdir=runs/vp_cifar10_ddpm \
    --config.sampling.method=ddpm --config.sampling.nfe=1000

Without flags samples are drawn by gDDIM with 50 evaluations.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "ddpm")
    config.sde.schedule = "discrete"
    config.training.continuous = False
    return config
