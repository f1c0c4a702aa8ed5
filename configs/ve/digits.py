"""VE on the 8 x 8 digits that scikit-learn ships; sigma_max is the largest distance between two of them.

python main.py --config=configs/ve/digits.py --mode=train --workdir=runs/ve_digits
python main.py --config=configs/ve/digits.py --mode=check --workdir=runs/ve_digits
"""

from configs.data_sets import digits
from configs.default import get_config as default


def get_config():
    config = digits(default("ve", "ncsnpp"))
    config.sde.sigma_max = 6.0
    config.data.centered = False
    config.model.update(embedding_type="fourier", prediction="score", scale_by_sigma=True)
    config.sampling.grid = "log_snr"
    return config
