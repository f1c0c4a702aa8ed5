r"""DDDM on CIFAR-10, VE (arXiv:2405.21059: FID 2.63 and 1.71 with 1 and 1000 evaluations, adaptive pseudo-Huber).

python main.py --config=configs/dddm/cifar10_ve.py --mode=train --workdir=runs/dddm_cifar10_ve
python main.py --config=configs/dddm/cifar10_ve.py --mode=check --workdir=runs/dddm_cifar10_ve \
    --config.sampling.nfe=1000

Behind a colon stands the distance, as in cifar10_vp.py. Not trained here.
"""

from linnet.configs.dddm.cifar10_vp import get_config as vp
from linnet.configs.default import sde


def get_config(loss="adaptive_pseudo_huber"):
    config = vp(loss)
    config.sde = sde("ve")
    config.model.num_scales = 4000
    return config
