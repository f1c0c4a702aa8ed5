r"""NCSN++ deep on CIFAR-10 under VE, continuous (score_sde: FID 2.20 with the predictor-corrector sampler).

python main.py --config=configs/ve/cifar10_ncsnpp_deep.py --mode=train --workdir=runs/ve_cifar10_ncsnpp_deep
python main.py --config=configs/ve/cifar10_ncsnpp_deep.py --mode=check --workdir=runs/ve_cifar10_ncsnpp_deep \
    --config.sampling.method=pc --config.sampling.nfe=2000

That command is the sampler of the published number. Without flags samples are drawn by gDDIM with 50 evaluations.
"""

from linnet.configs.ve.cifar10_ncsnpp import get_config as cifar10_ncsnpp


def get_config():
    config = cifar10_ncsnpp()
    config.model.num_res_blocks = 8
    config.training.n_iters = 950_001
    return config
