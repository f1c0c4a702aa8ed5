r"""ADM on ImageNet at 256 pixels, with classes, linear schedule, 1000 steps (arXiv:2105.05233).

python main.py --config=configs/guided/imagenet256.py --mode=sample --workdir=runs/guided256 --ckpt=256x256_diffusion.pt
python main.py --config=configs/guided/imagenet256.py --mode=train --workdir=runs/guided256 --config.data.path=FOLDER
python main.py --config=configs/guided/imagenet256.py --mode=check --workdir=runs/guided_bedroom \
    --ckpt=lsun_bedroom.pt --config.model.num_classes=0 --config.sampling.nfe=1000 --config.data.path=FOLDER

554 M parameters. 256x256_diffusion_uncond.pt and the networks of LSUN need --config.model.num_classes=0; the authors
report FID 1.90 (bedrooms), 2.57 (horses) and 5.57 (cats) with 1000 steps of the latter. Guided by a
classifier: configs/guided/imagenet64_classifier.py. Not trained here.
"""

from linnet.configs.guided.imagenet64 import get_config as imagenet64


def get_config():
    config = imagenet64()
    config.sde.schedule = "discrete"
    config.data.update(dataset="folder", image_size=256)
    config.model.update(num_channels=256, num_res_blocks=2, use_new_attention_order=False, dropout=0.0)
    config.training.update(batch_size=256, n_iters=1_980_001)
    config.optim.lr = 1e-4
    return config
