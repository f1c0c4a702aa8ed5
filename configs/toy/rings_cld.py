"""CLD on 2-D rings: a minute on two CPU cores; look at samples/ in the workdir.

python main.py --config=configs/toy/rings_cld.py --mode=train --workdir=runs/toy_rings_cld
python main.py --config=configs/toy/rings_cld.py --mode=check --workdir=runs/toy_rings_cld
"""

from linnet.configs.data_sets import rings
from linnet.configs.default import get_config as default


def get_config():
    return rings(default("cld", "mlp"))
