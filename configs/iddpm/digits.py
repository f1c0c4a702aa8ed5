"""Improved DDPM on the 8 x 8 digits that scikit-learn ships: classes, learned variances, labels dropped for guidance.

python main.py --config=configs/iddpm/digits.py --mode=train --workdir=runs/iddpm_digits
python main.py --config=configs/iddpm/digits.py --mode=check --workdir=runs/iddpm_digits

Minutes on two CPU cores.
"""

from linnet.configs.data_sets import digits_unet
from linnet.configs.default import get_config as default


def get_config():
    config = digits_unet(default("vp", "unet"))
    config.sde.update(schedule="discrete_cosine", num_steps=1000)
    config.model.update(num_classes=10, learn_sigma=True, variance="learned_range")
    config.training.update(objective="hybrid", label_dropout=0.1)
    config.sampling.update(method="ddpm", nfe=250)
    return config
