r"""CLD on CIFAR-10 as in CLD-SGM (arXiv:2112.07068): its authors report FID 2.25 with an adaptive ODE solver.

python main.py --config=configs/cld/cifar10_cld_sgm.py --mode=train --workdir=runs/cld_sgm
python main.py --config=configs/cld/cifar10_cld_sgm.py --mode=check --workdir=runs/cld_sgm \
    --ckpt=checkpoint_800000.pth --config.sampling.method=ode

Without the last flag samples are drawn by gDDIM with 50 evaluations.
"""

from linnet.configs.cld.cifar10_accelerated import get_config as accelerated


def get_config():
    config = accelerated()
    config.seed = 0
    config.sde.eps = 1e-9
    config.model.update(prediction="velocity", mixed_score=True)
    return config
