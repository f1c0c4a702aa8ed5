"""ADM on ImageNet at 64 pixels, with classes, cosine schedule (arXiv:2105.05233: FID 2.07, 250 steps).

python main.py --config=configs/guided/imagenet64.py --mode=check --workdir=runs/guided64 --ckpt=64x64_diffusion.pt
python main.py --config=configs/guided/imagenet64.py --mode=train --workdir=runs/guided64

296 M parameters. The classifier that guides it: configs/guided/imagenet64_classifier.py. Not trained here.
"""

from linnet.configs.iddpm.imagenet64_class import get_config as iddpm


def get_config():
    config = iddpm()
    config.sde.num_steps = 1000
    config.model.update(attention_resolutions=(32, 16, 8), num_head_channels=64, use_new_attention_order=True)
    config.model.update(resblock_updown=True, dropout=0.1)
    config.training.update(vlb_weight=1 / 1000, n_iters=540_001)
    return config
