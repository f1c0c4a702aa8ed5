"""Improved DDPM's class-conditional super-resolution from 64 to 256 pixels on ImageNet (arXiv:2102.09672, section 4).

python main.py --config=configs/iddpm/upsampler_64_256.py --mode=train --workdir=runs/iddpm_up --config.data.path=FOLDER
python main.py --config=configs/iddpm/upsampler_64_256.py --mode=check --workdir=runs/iddpm_up --config.data.path=FOLDER

The authors report no number for it alone. 280 M parameters; the published checkpoint has 500,000 steps of 256 images.
Not trained here.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "unet")
    config.sde.update(schedule="discrete", num_steps=4000)
    config.data.update(dataset="folder", image_size=256, low_res_size=64, random_flip=False)
    config.model.update(num_channels=192, num_classes=1000, super_resolution=True)
    config.model.update(learn_sigma=True, variance="learned_range")
    config.training.update(objective="hybrid", vlb_weight=1 / 4000, batch_size=256, n_iters=500_001)
    config.optim.update(optimizer="AdamW", lr=3e-4, warmup=0, grad_clip=-1.0)
    config.sampling.update(method="ddpm", nfe=250)
    return config
