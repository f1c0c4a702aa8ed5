"""Improved DDPM on LSUN bedrooms at 256 pixels, linear schedule, 1000 steps (arXiv:2102.09672, appendix).

python main.py --config=configs/iddpm/lsun_bedroom.py --mode=train --workdir=runs/iddpm_bedroom
python main.py --config=configs/iddpm/lsun_bedroom.py --mode=check --workdir=runs/iddpm_bedroom

The authors report no number for it. 100 M parameters; published checkpoints have 1,200,000 steps, or 2,400,000 with
--config.optim.lr=2e-5. Not trained here.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "unet")
    config.sde.schedule = "discrete"
    config.data.update(dataset="lsun/bedroom", image_size=256, random_flip=False)
    config.model.update(num_heads=1, use_scale_shift_norm=False, attention_resolutions=(16,))
    config.model.update(learn_sigma=True, variance="learned_range")
    config.training.update(objective="hybrid", vlb_weight=1 / 1000, n_iters=1_200_001)
    config.optim.update(optimizer="AdamW", lr=1e-4, warmup=0, grad_clip=-1.0)
    config.sampling.update(method="ddpm", nfe=250)
    return config
