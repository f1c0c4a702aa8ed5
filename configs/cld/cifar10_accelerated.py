"""CLD on CIFAR-10 as in gDDIM (arXiv:2206.05564): its authors report FID 2.26 at 50 evaluations (checkpoint 15).

python main.py --config=configs/cld/cifar10_accelerated.py --mode=train --workdir=runs/cld_cifar10
python main.py --config=configs/cld/cifar10_accelerated.py --mode=check --workdir=runs/cld_cifar10
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("cld", "ncsnpp")
    config.seed = 8
    config.model.update(num_res_blocks=8, fir=True, progressive_input="residual", embedding_type="fourier")
    config.sampling.deis_order = 2  # and ts_order = 2, the default of the grid
    return config
