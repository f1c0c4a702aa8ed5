"""DDDM on MNIST (TFDS, or a zip with --config.data.dataset=folder --config.data.path=...), in the variant of digits.py.

python main.py --config=configs/dddm/mnist.py --mode=train --workdir=runs/dddm_mnist
python main.py --config=configs/dddm/mnist.py --mode=check --workdir=runs/dddm_mnist --config.sampling.nfe=5
"""

from linnet.configs.dddm.digits import get_config as digits


def get_config():
    config = digits()
    config.data.update(dataset="mnist", image_size=28)
    config.model.update(channel_mult=(1, 2, 2), attention_resolutions=(7,), ema_rate=0.9999)
    config.training.update(batch_size=128, n_iters=50_000, snapshot_fid=0)
    config.training.update(snapshot_freq=10_000, snapshot_freq_for_preemption=2_000)
    config.optim.lr = 5e-4
    config.eval.update(num_samples=10_000, extractor="mnist")
    return config
