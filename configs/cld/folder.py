"""CLD on a folder or zip of your own images, 64 x 64 in colour.

python main.py --config=configs/cld/folder.py --mode=data_report --workdir=runs/mine --config.data.path=my_images.zip
python main.py --config=configs/cld/folder.py --mode=train --workdir=runs/mine --config.data.path=my_images.zip
python main.py --config=configs/cld/folder.py --mode=check --workdir=runs/mine --config.data.path=my_images.zip

The first prints the flags that suit the images; they go to the other two as well.
"""

from linnet.configs.data_sets import folder
from linnet.configs.default import get_config as default


def get_config():
    return folder(default("cld", "ncsnpp"))
