"""DDDM on ImageNet at 64 x 64 with its classes, VP.

python main.py --config=configs/dddm/imagenet64.py --mode=train --workdir=runs/dddm_imagenet64
python main.py --config=configs/dddm/imagenet64.py --mode=check --workdir=runs/dddm_imagenet64

The estimates of 1.28 M images are 31 GB in float16: divided over eight devices, or on the host. Behind a colon stands
the distance, as in cifar10_vp.py. Not trained here.
"""

from linnet.configs.dddm.cifar10_vp import get_config as cifar10


def get_config(loss="pseudo_huber"):
    config = cifar10(loss)
    config.data.update(dataset="imagenet_resized/64x64", image_size=64)
    config.model.update(num_classes=1000, dropout=0.1)
    return config
