"""DDDM on the 8 x 8 digits that scikit-learn ships: one and five evaluations per image.

python main.py --config=configs/dddm/digits.py --mode=train --workdir=runs/dddm_digits
python main.py --config=configs/dddm/digits.py --mode=check --workdir=runs/dddm_digits --config.sampling.nfe=5

Minutes on two CPU cores; docs/results/digits_dddm.md has the numbers. The network sees noised estimates, and the images
keep their weight in the loss. digits.py:paper is the method as published: with epochs of 1,500 images it copies its
estimates.
"""

from linnet.configs.data_sets import digits_unet
from linnet.configs.default import get_config as default


def get_config(variant=""):
    """The experiment; variant "paper": the method as published."""
    config = digits_unet(default("vp", "unet"))
    config.sde.update(schedule="discrete", num_steps=1000)
    config.model.update(prediction="direct", concat=True, context_noise=0.7)
    config.training.update(objective="dddm", loss="pseudo_huber", guide_floor=1.0)
    config.training.update(snapshot_freq=1000, snapshot_nfe=(1, 5), snapshot_fid=1500)
    config.sampling.update(method="fixed_point", nfe=1)
    if variant == "paper":
        config.model.context_noise = config.training.guide_floor = 0.0
    return config
