"""CLD on scikit-learn's 8 x 8 digits: the demo. Minutes on two CPU cores.

    python main.py --config=configs/toy/digits_cld.py --mode=train --workdir=runs/digits_cld
    python main.py --config=configs/toy/digits_cld.py --mode=check --workdir=runs/digits_cld
"""

from configs.default import get_config as default


def get_config(process="cld"):
    config = default(process, "ncsnpp")
    config.data.update(dataset="digits", image_size=8, num_channels=1, random_flip=False)
    config.model.update(nf=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), dropout=0.0, ema_rate=0.999)
    config.training.update(n_iters=4000, log_freq=200, eval_freq=1000, snapshot_freq=2000, snapshot_freq_for_preemption=1000)
    config.optim.update(lr=1e-3, warmup=200)
    config.eval.update(num_samples=1500, batch_size=500, extractor="digits")
    return config
