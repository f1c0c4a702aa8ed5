"""What a data set asks of a config, whatever the process: sizes, network, and how long to train."""

from ml_collections import ConfigDict


def rings(config: ConfigDict) -> ConfigDict:
    """2-D rings with a small MLP; two minutes on two CPU cores."""
    config.data.update(dataset="points", points="rings", image_size=0, num_channels=0, random_flip=False)
    config.model.update(ema_rate=0.997, nf=128, num_res_blocks=3, num_frequencies=4)
    config.model.update(prediction="edm_aligned", sigma_data=1.0)
    config.training.update(batch_size=512, n_iters=8000, log_freq=500, eval_freq=2000)
    config.training.update(snapshot_freq=4000, snapshot_freq_for_preemption=2000, snapshot_sampling_batch=2048)
    config.optim.update(lr=1e-3, warmup=200)
    config.eval.update(num_samples=4096, batch_size=4096)
    return config


def digits(config: ConfigDict) -> ConfigDict:
    """scikit-learn's 8 x 8 digits; minutes on two CPU cores."""
    digits_data(config)
    config.model.update(nf=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), dropout=0.0)
    config.model.update(prediction="edm", sigma_data=0.85)
    config.training.update(n_iters=3000, eval_freq=1000, snapshot_freq=1500, snapshot_freq_for_preemption=500)
    return config


def digits_unet(config: ConfigDict) -> ConfigDict:
    """The same digits with a small U-Net of improved DDPM."""
    digits_data(config)
    config.model.update(num_channels=32, channel_mult=(1, 2), attention_resolutions=(4,))
    config.training.update(batch_size=64, n_iters=4000)
    config.training.update(eval_freq=2000, snapshot_freq=2000, snapshot_freq_for_preemption=1000)
    return config


def digits_classifier(config: ConfigDict) -> ConfigDict:
    """A classifier of the same digits at all noise levels, for guidance; minutes on two CPU cores."""
    digits_data(config)
    config.model.update(num_channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(4,))
    config.training.update(objective="classifier", batch_size=128, n_iters=2000)
    config.training.update(eval_freq=500, snapshot_freq=1000, snapshot_freq_for_preemption=500)
    return config


def digits_data(config: ConfigDict) -> ConfigDict:
    """What every network on these digits has in common."""
    config.data.update(dataset="digits", image_size=8, num_channels=1, random_flip=False)
    config.model.ema_rate = 0.999
    config.training.log_freq = 200
    config.optim.update(lr=1e-3, warmup=200)
    config.eval.update(num_samples=1500, batch_size=500, extractor="digits", held_out=True)


def mnist(config: ConfigDict) -> ConfigDict:
    """28 x 28 digits: from TFDS, or from a zip or folder with --config.data.dataset=folder --config.data.path=..."""
    config.data.update(dataset="mnist", image_size=28, num_channels=1, random_flip=False)
    config.model.update(nf=64, ch_mult=(1, 2, 2), num_res_blocks=2, attn_resolutions=(7,))
    config.model.update(prediction="edm", sigma_data=0.95)
    config.training.update(n_iters=100_000, snapshot_freq=20_000, snapshot_freq_for_preemption=5_000)
    config.eval.update(num_samples=10_000, batch_size=500, extractor="mnist", held_out=True)
    return config


def celeba64(config: ConfigDict) -> ConfigDict:
    """CelebA: the central 140 pixels, resized to 64 (score_sde's crop)."""
    config.data.update(dataset="celeb_a", image_size=64, crop=140)
    return config


def folder(config: ConfigDict) -> ConfigDict:
    """Images of one's own in --config.data.path; --mode=data_report says what to set for other sizes and contents."""
    config.data.update(dataset="folder", image_size=64, num_channels=3, random_flip=False)
    config.model.update(ch_mult=(1, 1, 2, 2, 2), num_res_blocks=2, attn_resolutions=(16, 8))
    config.model.update(prediction="edm", sigma_data=0.5)
    config.training.update(n_iters=200_000, snapshot_freq=10_000, snapshot_freq_for_preemption=2_000)
    config.eval.update(num_samples=10_000, batch_size=256)
    return config
