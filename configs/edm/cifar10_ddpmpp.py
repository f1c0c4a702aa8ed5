"""EDM's DDPM++ on CIFAR-10 (arXiv:2206.00364, table 2: FID 1.97, with classes 1.79, best of 3, 35 evaluations).

python main.py --config=configs/edm/cifar10_ddpmpp.py --mode=check --ckpt=edm-cifar10-32x32-uncond-vp.npz
python main.py --config=configs/edm/cifar10_ddpmpp.py --mode=train --workdir=runs/edm_cifar10_ddpmpp

With classes (edm-cifar10-32x32-cond-vp): --config.model.num_classes=10. The authors trained for two days on 8 V100 with
200 M images. Training here differs: no augmentation, log-uniform noise levels, the error of eps. Not trained here.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("ve", "ncsnpp")
    config.sde.update(sigma_min=0.002, sigma_max=80.0, t_min=0.0)
    config.model.update(ch_mult=(2, 2, 2), dropout=0.13, prediction="edm", log_label=True, ema_rate=0.9993)
    config.training.update(batch_size=512, n_iters=390_626)
    config.optim.update(lr=1e-3, warmup=19_531)
    config.sampling.update(method="heun", nfe=35)
    return config
