"""VP on MNIST, 28 x 28.

python main.py --config=configs/vp/mnist.py --mode=train --workdir=runs/vp_mnist
python main.py --config=configs/vp/mnist.py --mode=check --workdir=runs/vp_mnist
"""

from linnet.configs.data_sets import mnist
from linnet.configs.default import get_config as default


def get_config():
    return mnist(default("vp", "ncsnpp"))
