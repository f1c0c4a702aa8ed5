"""DDPM on MNIST with the cosine schedule of improved DDPM.

python main.py --config=configs/ddpm/mnist_cosine.py --mode=train --workdir=runs/ddpm_mnist_cosine
python main.py --config=configs/ddpm/mnist_cosine.py --mode=check --workdir=runs/ddpm_mnist_cosine

Not trained to the end here.
"""

from linnet.configs.ddpm.mnist import get_config as linear


def get_config():
    config = linear()
    config.sde.schedule = "discrete_cosine"
    return config
