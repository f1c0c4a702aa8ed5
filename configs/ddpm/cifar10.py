"""DDPM on CIFAR-10 (arXiv:2006.11239: FID 3.17 after 800,000 steps, sampled by ancestral sampling with 1000 steps).

python main.py --config=configs/ddpm/cifar10.py --mode=train --workdir=runs/ddpm_cifar10
python main.py --config=configs/ddpm/cifar10.py --mode=check --workdir=runs/ddpm_cifar10

35 M parameters, 800,000 steps of 128 images; not trained here.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "ddpm")
    config.sde.schedule = "discrete"
    config.training.update(objective="simple", n_iters=800_001)
    config.sampling.update(method="ddpm", nfe=1000)
    return config
