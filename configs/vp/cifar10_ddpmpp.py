r"""DDPM++ on CIFAR-10 under VP, continuous (score_sde: FID 2.55 with 1000-step predictor-corrector, 3.93 by ODE).

python main.py --config=configs/vp/cifar10_ddpmpp.py --mode=train --workdir=runs/vp_cifar10_ddpmpp
python main.py --config=configs/vp/cifar10_ddpmpp.py --mode=check --workdir=runs/vp_cifar10_ddpmpp \
    --config.sampling.method=pc --config.sampling.nfe=1000 \
    --config.sampling.predictor=euler_maruyama --config.sampling.corrector=none

That command is the predictor-corrector sampler of the published number; the one by ODE is
--config.sampling.method=ode alone. Without flags samples are drawn by gDDIM with 50 evaluations.
"""

from linnet.configs.default import get_config as default


def get_config():
    return default("vp", "ncsnpp")
