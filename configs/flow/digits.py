"""Rectified flow on the 8 x 8 digits that scikit-learn ships.

python main.py --config=configs/flow/digits.py --mode=train --workdir=runs/flow_digits
python main.py --config=configs/flow/digits.py --mode=check --workdir=runs/flow_digits

The network predicts the velocity, trained by its square error (arXiv:2209.03003).
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    config = digits(default("flow", "ncsnpp"))
    config.model.prediction = "flow"
    config.training.output_weighting = True
    return config
