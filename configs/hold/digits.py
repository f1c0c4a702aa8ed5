"""Third-order Langevin dynamics (HOLD) on the 8 x 8 digits that scikit-learn ships.

python main.py --config=configs/hold/digits.py --mode=train --workdir=runs/hold_digits
python main.py --config=configs/hold/digits.py --mode=check --workdir=runs/hold_digits
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    return digits(default("hold", "ncsnpp"))
