"""EDM's NCSN++ at 64 pixels (arXiv:2206.00364, table 2: FID 2.53 on FFHQ, 2.16 on AFHQv2, best of 3, 79 evaluations).

python main.py --config=configs/edm/ffhq64_ncsnpp.py --mode=check --ckpt=edm-ffhq-64x64-uncond-ve.npz
python main.py --config=configs/edm/ffhq64_ncsnpp.py --mode=train --workdir=runs/edm_ffhq64_ncsnpp

Images and AFHQv2 (edm-afhqv2-64x64-uncond-ve) as in ffhq64_ddpmpp.py.
"""

from linnet.configs.edm.ffhq64_ddpmpp import get_config as ddpmpp


def get_config():
    config = ddpmpp()
    config.model.update(log_label=False, embedding_type="fourier", fir=True, progressive_input="residual")
    return config
