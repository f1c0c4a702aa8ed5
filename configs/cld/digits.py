"""CLD on the 8 x 8 digits that scikit-learn ships: the demo.

python main.py --config=configs/cld/digits.py --mode=train --workdir=runs/cld_digits
python main.py --config=configs/cld/digits.py --mode=check --workdir=runs/cld_digits
"""

from linnet.configs.data_sets import digits
from linnet.configs.default import get_config as default


def get_config():
    return digits(default("cld", "ncsnpp"))
