"""VP on the 8 x 8 digits with the U-Net of configs/dddm/digits.py, which it is compared to.

python main.py --config=configs/vp/digits_unet.py --mode=train --workdir=runs/vp_digits_unet
python main.py --config=configs/vp/digits_unet.py --mode=check --workdir=runs/vp_digits_unet --config.sampling.nfe=5
"""

from linnet.configs.data_sets import digits_unet
from linnet.configs.default import get_config as default


def get_config():
    config = digits_unet(default("vp", "unet"))
    config.model.update(prediction="edm", sigma_data=0.85)
    return config
