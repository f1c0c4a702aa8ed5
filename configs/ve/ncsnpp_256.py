"""NCSN++ at 256 pixels under VE, continuous: CelebA-HQ here (score_sde; google/ncsnpp-celebahq-256 of diffusers).

python main.py --config=configs/ve/ncsnpp_256.py --mode=train --workdir=runs/ve_celebahq --config.data.path=FOLDER
python main.py --config=configs/ve/ncsnpp_256.py --mode=check --workdir=runs/ve_celebahq --config.data.path=FOLDER

Images are those of config.data.path, a folder or zip. sigma_max is the largest distance between two of them: 348 for
CelebA-HQ and FFHQ, 378 for LSUN bedrooms, 380 for churches. The authors report no FID for these. Not trained here.
"""

from linnet.configs.ve.cifar10_ncsnpp import get_config as cifar10


def get_config():
    config = cifar10()
    config.sde.sigma_max = 348.0
    config.data.update(dataset="folder", image_size=256)
    config.model.update(ch_mult=(1, 1, 2, 2, 2, 2, 2), num_res_blocks=2, dropout=0.0)
    config.model.update(progressive="output_skip", progressive_input="input_skip")
    config.training.update(batch_size=64, n_iters=2_400_001)
    return config
