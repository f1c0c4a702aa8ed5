"""DDPM on the 8 x 8 digits that scikit-learn ships; minutes on two CPU cores.

python main.py --config=configs/ddpm/digits.py --mode=train --workdir=runs/ddpm_digits
python main.py --config=configs/ddpm/digits.py --mode=check --workdir=runs/ddpm_digits
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    config = digits(default("vp", "ddpm"))
    config.sde.schedule = "discrete"
    config.model.prediction = "eps"
    config.training.objective = "simple"
    config.sampling.update(method="ddpm", nfe=1000)
    return config
