"""Improved DDPM on the 8 x 8 digits that scikit-learn ships: classes, learned variances, labels dropped for guidance.

python main.py --config=configs/iddpm/digits.py --mode=train --workdir=runs/iddpm_digits
python main.py --config=configs/iddpm/digits.py --mode=check --workdir=runs/iddpm_digits

Minutes on two CPU cores.
"""

from configs.default import get_config as default


def get_config():
    config = default("vp", "unet")
    config.sde.update(schedule="discrete_cosine", num_steps=1000)
    config.data.update(dataset="digits", image_size=8, num_channels=1, random_flip=False)
    config.model.update(num_channels=32, channel_mult=(1, 2), attention_resolutions=(4,), ema_rate=0.999)
    config.model.update(num_classes=10, learn_sigma=True, variance="learned_range")
    config.training.update(objective="hybrid", label_dropout=0.1, n_iters=6000, log_freq=200, eval_freq=2000)
    config.training.update(snapshot_freq=3000, snapshot_freq_for_preemption=1000)
    config.optim.update(lr=1e-3, warmup=200)
    config.eval.update(num_samples=1500, batch_size=500, extractor="digits", held_out=True)
    config.sampling.update(method="ddpm", nfe=250)
    return config
