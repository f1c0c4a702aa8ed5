"""EDM's DDPM++ at 64 pixels (arXiv:2206.00364, table 2: FID 2.39 on FFHQ, 1.96 on AFHQv2, best of 3, 79 evaluations).

python main.py --config=configs/edm/ffhq64_ddpmpp.py --mode=check --ckpt=edm-ffhq-64x64-uncond-vp.npz
python main.py --config=configs/edm/ffhq64_ddpmpp.py --mode=train --workdir=runs/edm_ffhq64_ddpmpp

Images are those of config.data.path, a folder or zip. AFHQv2 (edm-afhqv2-64x64-uncond-vp) has the same network, trained
with --config.model.dropout=0.25. The authors trained for four days on 8 V100; differences as in cifar10_ddpmpp.py.
"""

from linnet.configs.edm.cifar10_ddpmpp import get_config as cifar10


def get_config():
    config = cifar10()
    config.data.update(dataset="folder", image_size=64)
    config.model.update(ch_mult=(1, 2, 2, 2), dropout=0.05, ema_rate=0.99965)
    config.training.update(batch_size=256, n_iters=781_251)
    config.optim.update(lr=2e-4, warmup=39_063)
    config.sampling.nfe = 79
    return config
