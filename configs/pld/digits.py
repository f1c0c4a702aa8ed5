"""Phase-space Langevin diffusion (PSLD) on the 8 x 8 digits that scikit-learn ships.

python main.py --config=configs/pld/digits.py --mode=train --workdir=runs/pld_digits
python main.py --config=configs/pld/digits.py --mode=check --workdir=runs/pld_digits
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    return digits(default("pld", "ncsnpp"))
