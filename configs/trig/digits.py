"""The trigonometric path (TrigFlow) on the 8 x 8 digits that scikit-learn ships.

python main.py --config=configs/trig/digits.py --mode=train --workdir=runs/trig_digits
python main.py --config=configs/trig/digits.py --mode=check --workdir=runs/trig_digits

EDM's preconditioning on this path is TrigFlow's (arXiv:2410.11081).
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    config = digits(default("trig", "ncsnpp"))
    config.training.output_weighting = True
    return config
