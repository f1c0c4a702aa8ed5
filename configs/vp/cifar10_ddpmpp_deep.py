"""DDPM++ deep on CIFAR-10 under VP, continuous (score_sde: FID 2.41 predictor-corrector, 3.08 by ODE).

python main.py --config=configs/vp/cifar10_ddpmpp_deep.py --mode=train --workdir=runs/vp_cifar10_ddpmpp_deep
python main.py --config=configs/vp/cifar10_ddpmpp_deep.py --mode=check --workdir=runs/vp_cifar10_ddpmpp_deep
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "ncsnpp")
    config.model.num_res_blocks = 8
    config.training.n_iters = 950_001
    return config
