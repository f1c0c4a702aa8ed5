"""DDPM on MNIST, linear schedule of 1000 steps.

python main.py --config=configs/ddpm/mnist.py --mode=train --workdir=runs/ddpm_mnist
python main.py --config=configs/ddpm/mnist.py --mode=check --workdir=runs/ddpm_mnist

Not trained to the end here.
"""

from linnet.configs.data_sets import mnist
from linnet.configs.default import get_config as default


def get_config():
    config = mnist(default("vp", "ddpm"))
    config.sde.schedule = "discrete"
    config.model.prediction = "eps"
    config.training.objective = "simple"
    config.sampling.update(method="ddpm", nfe=1000)
    return config
