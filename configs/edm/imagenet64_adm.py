"""EDM's ADM on ImageNet at 64 pixels, with classes (arXiv:2206.00364: FID 1.36, best of 3, 511 evaluations).

python main.py --config=configs/edm/imagenet64_adm.py --mode=check --ckpt=edm-imagenet-64x64-cond-adm.npz
python main.py --config=configs/edm/imagenet64_adm.py --mode=train --workdir=runs/edm_imagenet64_adm

296 M parameters; the authors trained for 13 days on 32 A100 with 2,500 M images. Training differs as in
cifar10_ddpmpp.py; so do the images (theirs are central squares made smaller by their own tool).
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("ve", "unet")
    config.sde.update(sigma_min=0.002, sigma_max=80.0, t_min=0.0)
    config.data.update(dataset="imagenet_resized/64x64", image_size=64)
    config.model.update(num_channels=192, num_res_blocks=3, attention_resolutions=(32, 16, 8), num_head_channels=64)
    config.model.update(resblock_updown=True, num_classes=1000, dropout=0.1, log_label=True)
    config.model.update(prediction="edm", ema_rate=0.99994)
    config.training.update(batch_size=4096, n_iters=610_353)
    config.optim.update(lr=1e-4, warmup=2_442)
    config.sampling.update(method="heun", nfe=511, s_churn=40.0, s_min=0.05, s_max=50.0, s_noise=1.003)
    return config
