"""VE on the 8 x 8 digits that scikit-learn ships; sigma_max is the largest distance between two of them.

python main.py --config=configs/ve/digits.py --mode=train --workdir=runs/ve_digits
python main.py --config=configs/ve/digits.py --mode=check --workdir=runs/ve_digits
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    config = digits(default("ve", "ncsnpp"))
    config.sde.sigma_max = 12.0
    config.model.embedding_type = "fourier"
    config.sampling.grid = "log_snr"
    return config
