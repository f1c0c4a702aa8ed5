"""CLD on MNIST, 28 x 28.

python main.py --config=configs/cld/mnist.py --mode=train --workdir=runs/cld_mnist
python main.py --config=configs/cld/mnist.py --mode=check --workdir=runs/cld_mnist
"""

from linnet.configs.data_sets import mnist
from linnet.configs.default import get_config as default


def get_config():
    return mnist(default("cld", "ncsnpp"))
