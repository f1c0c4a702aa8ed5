"""DDDM on 2-D rings: a minute on two CPU cores; look at samples/ in the workdir.

python main.py --config=configs/toy/rings_dddm.py --mode=train --workdir=runs/toy_rings_dddm
python main.py --config=configs/toy/rings_dddm.py --mode=sample --workdir=runs/toy_rings_dddm
"""

from linnet.configs.data_sets import rings
from linnet.configs.default import get_config as default


def get_config():
    config = rings(default("vp", "mlp"))
    config.model.update(prediction="direct", concat=True)
    config.training.update(objective="dddm", loss="pseudo_huber", snapshot_nfe=(1, 5))
    config.sampling.update(method="fixed_point", nfe=1, clip_denoised=False)
    return config
