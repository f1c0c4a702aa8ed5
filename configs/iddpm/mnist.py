"""Improved DDPM on MNIST: classes, learned variances, labels dropped for guidance; sized for a CPU or a small GPU.

python main.py --config=configs/iddpm/mnist.py --mode=train --workdir=runs/iddpm_mnist
python main.py --config=configs/iddpm/mnist.py --mode=check --workdir=runs/iddpm_mnist

50,000 steps of 128 images; not trained to the end here.
"""

from linnet.configs.iddpm.digits import get_config as digits


def get_config():
    config = digits()
    config.data.update(dataset="mnist", image_size=28)
    config.model.update(channel_mult=(1, 2, 2), attention_resolutions=(7,), ema_rate=0.9999)
    config.training.update(batch_size=128, n_iters=50_000, snapshot_freq=10_000, snapshot_freq_for_preemption=2_000)
    config.optim.lr = 5e-4
    config.eval.update(num_samples=10_000, extractor="mnist")
    return config
