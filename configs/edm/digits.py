"""EDM's process on the 8 x 8 digits that scikit-learn ships.

python main.py --config=configs/edm/digits.py --mode=train --workdir=runs/edm_digits
python main.py --config=configs/edm/digits.py --mode=check --workdir=runs/edm_digits

EDM's loss, labels and log-normal noise levels (arXiv:2206.00364); sigma_max is the largest distance between two digits.
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    config = digits(default("edm", "ncsnpp"))
    config.sde.sigma_max = 12.0
    config.model.log_label = True
    config.training.update(output_weighting=True, P_mean=-1.2, P_std=1.2)
    return config
