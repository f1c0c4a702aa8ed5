r"""ADM's classifier of noised ImageNet pictures at 64 pixels, which guides configs/guided/imagenet64.py.

python main.py --config=configs/guided/imagenet64_classifier.py --mode=train --workdir=runs/guided64_classifier
python main.py --config=configs/guided/imagenet64_classifier.py --mode=export --ckpt=64x64_classifier.pt \
    --result_folder=runs/classifier64
python main.py --config=configs/guided/imagenet64.py --mode=check --workdir=runs/guided64 --ckpt=64x64_diffusion.pt \
    --config.sampling.classifier=runs/classifier64 --config.sampling.classifier_scale=1

The authors do so at 64 pixels with --classifier_scale 1.0 and 250 steps (arXiv:2105.05233). For 256 pixels (linear
schedule): --config.data.image_size=256 --config.sde.schedule=discrete --config.model.num_res_blocks=2
--ckpt=256x256_classifier.pt, and configs/guided/imagenet256.py. Not run here.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("vp", "encoder")
    config.sde.update(schedule="discrete_cosine", num_steps=1000)
    config.data.update(dataset="imagenet_resized/64x64", image_size=64)
    config.model.update(num_channels=128, num_res_blocks=4, attention_resolutions=(32, 16, 8), num_head_channels=64)
    config.model.update(num_classes=1000, pool="attention", resblock_updown=True)
    config.training.update(objective="classifier", batch_size=256, n_iters=300_000)
    config.optim.update(optimizer="AdamW", lr=3e-4, weight_decay=0.05)
    return config
