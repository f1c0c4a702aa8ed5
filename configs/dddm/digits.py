"""DDDM on the 8 x 8 digits that scikit-learn ships: one and five evaluations per image.

python main.py --config=configs/dddm/digits.py --mode=train --workdir=runs/dddm_digits
python main.py --config=configs/dddm/digits.py --mode=check --workdir=runs/dddm_digits --config.sampling.nfe=5

Minutes on two CPU cores; docs/results has the numbers. The network is told noised estimates, and the images keep their
weight in the loss: told its estimates as they are, with the weight falling by epochs of 1,500 images, it copies them.
"""

from configs.data_sets import digits_unet
from configs.default import get_config as default


def get_config():
    config = digits_unet(default("vp", "unet"))
    config.sde.update(schedule="discrete", num_steps=1000)
    config.model.update(prediction="direct", concat=True, context_noise=0.7)
    config.training.update(objective="dddm", loss="pseudo_huber", guide_floor=1.0)
    config.training.update(snapshot_freq=1000, snapshot_nfe=(1, 5), snapshot_fid=1500)
    config.sampling.update(method="fixed_point", nfe=1)
    return config
