r"""Improved DDPM on CIFAR-10, L_hybrid, cosine schedule, 4000 steps (arXiv:2102.09672: 3.17 bits/dim, FID 3.19).

python main.py --config=configs/iddpm/cifar10_hybrid.py --mode=train --workdir=runs/iddpm_cifar10
python main.py --config=configs/iddpm/cifar10_hybrid.py --mode=check --workdir=runs/iddpm_cifar10 \
    --config.sampling.nfe=4000

50 M parameters; the published checkpoint has 500,000 steps.
Their FID is with all 4000 steps; without the flag 250 are taken.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "unet")
    config.sde.update(schedule="discrete_cosine", num_steps=4000)
    config.model.update(num_res_blocks=3, dropout=0.3)
    config.model.update(learn_sigma=True, variance="learned_range", rescale_timesteps=True)
    config.data.random_flip = False
    config.training.update(objective="hybrid", n_iters=500_001)
    config.optim.update(optimizer="AdamW", lr=1e-4, warmup=0, grad_clip=-1.0)
    config.sampling.update(method="ddpm", nfe=250)
    return config
