"""DDDM on 2-D rings, which it does not learn in its two minutes on two CPU cores; look at samples/ in the workdir.

python main.py --config=configs/toy/rings_dddm.py --mode=train --workdir=runs/toy_rings_dddm
python main.py --config=configs/toy/rings_dddm.py --mode=sample --workdir=runs/toy_rings_dddm

Samples fill the disc: 0.21 of them lie within three standard deviations of a ring (0.91 for rings_vp), and the sliced
Wasserstein distance to the data at five evaluations is 0.080 (test points: 0.030). Of our variants,
model.context_noise=1 with training.guide_floor=1 has 0.40 at one evaluation and 0.70 at five: they are no cure;
nor is context_noise=0.3, with 0.31 and 0.33 of the samples on a ring at one and five evaluations and 0.36 at ten.
"""

from linnet.configs.data_sets import rings
from linnet.configs.default import get_config as default


def get_config():
    config = rings(default("vp", "mlp"))
    config.model.update(prediction="direct", concat=True)
    config.training.update(objective="dddm", loss="pseudo_huber", snapshot_nfe=(1, 5))
    config.sampling.update(method="fixed_point", nfe=1, clip_denoised=False)
    return config
