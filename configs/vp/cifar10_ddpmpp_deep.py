r"""DDPM++ deep on CIFAR-10 under VP, continuous (score_sde: FID 2.41 predictor-corrector, 3.08 by ODE).

python main.py --config=configs/vp/cifar10_ddpmpp_deep.py --mode=train --workdir=runs/vp_cifar10_ddpmpp_deep
python main.py --config=configs/vp/cifar10_ddpmpp_deep.py --mode=check --workdir=runs/vp_cifar10_ddpmpp_deep \
    --config.sampling.method=pc --config.sampling.nfe=1000 \
    --config.sampling.predictor=euler_maruyama --config.sampling.corrector=none

That command is the predictor-corrector sampler of the published number; the one by ODE is
--config.sampling.method=ode alone. Without flags samples are drawn by gDDIM with 50 evaluations.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "ncsnpp")
    config.model.num_res_blocks = 8
    config.training.n_iters = 950_001
    return config
