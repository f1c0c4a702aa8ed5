"""DDPM on CIFAR-10 with the cosine schedule of improved DDPM and the fixed large variance.

python main.py --config=configs/ddpm/cifar10_cosine.py --mode=train --workdir=runs/ddpm_cifar10_cosine
python main.py --config=configs/ddpm/cifar10_cosine.py --mode=check --workdir=runs/ddpm_cifar10_cosine

35 M parameters, 800,000 steps of 128 images; not trained here.
"""

from linnet.configs.ddpm.cifar10 import get_config as linear


def get_config():
    config = linear()
    config.sde.schedule = "discrete_cosine"
    return config
