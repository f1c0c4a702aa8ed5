"""CLD on CelebA-HQ at 256 pixels as in CLD-SGM (arXiv:2112.07068), with the network of its paper. Not trained here.

python main.py --config=configs/cld/celebahq_cld_sgm.py --mode=train --workdir=runs/celebahq --config.data.path=FOLDER
python main.py --config=configs/cld/celebahq_cld_sgm.py --mode=check --workdir=runs/celebahq --config.data.path=FOLDER

Images are those of config.data.path, a folder or zip. The authors later trained another network, which they found more
stable: --config.model.num_res_blocks=4 --config.sde.beta_0=0.1 --config.sde.beta_1=6.9. They report no FID for either.
"""

from linnet.configs.default import get_config as default


def get_config():
    config = default("cld", "ncsnpp")
    config.model.update(ch_mult=(1, 1, 2, 2, 2, 2, 2), num_res_blocks=2)
    config.model.update(prediction="velocity", mixed_score=True)
    config.data.update(dataset="folder", image_size=256)
    config.training.update(batch_size=64, n_iters=320_001)
    config.optim.update(lr=1e-4, warmup=100_000)
    return config
