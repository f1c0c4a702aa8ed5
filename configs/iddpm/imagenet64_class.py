"""Improved DDPM on ImageNet at 64 pixels, class-conditional (arXiv:2102.09672, section 4).

python main.py --config=configs/iddpm/imagenet64_class.py --mode=train --workdir=runs/iddpm_imagenet64_class
python main.py --config=configs/iddpm/imagenet64_class.py --mode=check --workdir=runs/iddpm_imagenet64_class

The authors report FID 2.92 with 250 steps. 270 M parameters; the published checkpoint has 250,000 steps of 2048 images.
Not trained here.
"""

from linnet.configs.iddpm.imagenet64_hybrid import get_config as unconditional


def get_config():
    config = unconditional()
    config.data.dataset = "imagenet_resized/64x64"
    config.model.update(num_channels=192, num_classes=1000, rescale_timesteps=False)
    config.training.update(batch_size=2048, n_iters=250_001, vlb_weight=1 / 4000)
    config.optim.lr = 3e-4
    return config
