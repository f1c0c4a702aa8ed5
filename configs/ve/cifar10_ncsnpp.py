r"""NCSN++ on CIFAR-10 under VE, continuous (score_sde: FID 2.38 with the predictor-corrector sampler).

python main.py --config=configs/ve/cifar10_ncsnpp.py --mode=train --workdir=runs/ve_cifar10_ncsnpp
python main.py --config=configs/ve/cifar10_ncsnpp.py --mode=check --workdir=runs/ve_cifar10_ncsnpp \
    --config.sampling.method=pc --config.sampling.nfe=2000

That command is the sampler of the published number. Without flags samples are drawn by gDDIM with 50 evaluations.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("ve", "ncsnpp")
    config.data.centered = False
    config.model.update(ema_rate=0.999, fir=True, progressive_input="residual", embedding_type="fourier")
    config.model.update(scale_by_sigma=True, prediction="score")
    config.training.reduce_mean = False
    config.sampling.grid = "log_snr"
    return config
