"""CLD on CelebA at 64 x 64, with the network of the CIFAR-10 model and one level more.

python main.py --config=configs/cld/celeba64.py --mode=train --workdir=runs/cld_celeba64
python main.py --config=configs/cld/celeba64.py --mode=check --workdir=runs/cld_celeba64
"""

from linnet.configs.data_sets import celeba64
from linnet.configs.default import get_config as default


def get_config():
    config = celeba64(default("cld", "ncsnpp"))
    config.model.update(fir=True, progressive_input="residual", embedding_type="fourier")
    config.model.update(ch_mult=(1, 2, 2, 2, 2), num_res_blocks=4)
    return config
