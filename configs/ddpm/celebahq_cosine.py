"""DDPM on CelebA-HQ at 256 pixels with the cosine schedule of improved DDPM.

python main.py --config=configs/ddpm/celebahq_cosine.py --mode=train --workdir=runs/hq_cosine --config.data.path=FOLDER
python main.py --config=configs/ddpm/celebahq_cosine.py --mode=check --workdir=runs/hq_cosine --config.data.path=FOLDER

500,000 steps of 64 images; nobody reports a number; not trained here.
"""

from linnet.configs.ddpm.celebahq import get_config as linear


def get_config():
    config = linear()
    config.sde.schedule = "discrete_cosine"
    return config
