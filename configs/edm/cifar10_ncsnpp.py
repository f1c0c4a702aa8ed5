"""EDM's NCSN++ on CIFAR-10 (arXiv:2206.00364, table 2: FID 1.98, with classes 1.79, best of 3, 35 evaluations).

python main.py --config=configs/edm/cifar10_ncsnpp.py --mode=check --ckpt=edm-cifar10-32x32-uncond-ve.npz
python main.py --config=configs/edm/cifar10_ncsnpp.py --mode=train --workdir=runs/edm_cifar10_ncsnpp

With classes (edm-cifar10-32x32-cond-ve): --config.model.num_classes=10. Training differs as in cifar10_ddpmpp.py.
"""

from linnet.configs.edm.cifar10_ddpmpp import get_config as ddpmpp


def get_config():
    config = ddpmpp()
    config.model.update(log_label=False, embedding_type="fourier", fir=True, progressive_input="residual")
    return config
