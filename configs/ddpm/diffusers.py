"""DDPM at 64 pixels with the network of diffusers' training script for unconditional images, 114 M parameters.

python main.py --config=configs/ddpm/diffusers.py --mode=train --workdir=runs/diffusers --config.data.path=FOLDER
python main.py --config=configs/ddpm/diffusers.py --mode=check --workdir=runs/diffusers --config.data.path=FOLDER \\
    --ckpt=OUTPUT

OUTPUT is the folder that the script wrote, or one of its checkpoint-<step>. Images are those of config.data.path, a
folder or zip. A network of other sizes is answered with the flags to set. Not trained here.
"""

from linnet.configs.ddpm.cifar10 import get_config as cifar10
from linnet.configs.default import model


def get_config():
    config = cifar10()
    config.model = model("unet")
    config.model.update(channel_mult=(1, 1, 2, 2, 4, 4), attention_resolutions=(4,))
    config.model.update(num_head_channels=8, use_scale_shift_norm=False)
    config.data.update(dataset="folder", image_size=64)
    config.training.update(batch_size=16, n_iters=100_001)
    config.optim.lr = 1e-4
    return config
