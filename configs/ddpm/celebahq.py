"""DDPM on CelebA-HQ at 256 pixels (arXiv:2006.11239: 500,000 steps of 64 images, rate 2e-5, no dropout).

python main.py --config=configs/ddpm/celebahq.py --mode=train --workdir=runs/ddpm_celebahq --config.data.path=FOLDER
python main.py --config=configs/ddpm/celebahq.py --mode=check --workdir=runs/ddpm_celebahq --config.data.path=FOLDER

The authors report no FID for it. 112 M parameters; not trained here.
"""

from linnet.configs.ddpm.cifar10 import get_config as cifar10


def get_config():
    config = cifar10()
    config.data.update(dataset="folder", image_size=256)
    config.model.update(ch_mult=(1, 1, 2, 2, 4, 4), dropout=0.0, variance="fixed_small")
    config.training.update(batch_size=64, n_iters=500_001)
    config.optim.lr = 2e-5
    return config
