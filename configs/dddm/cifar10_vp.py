"""DDDM on CIFAR-10, VP (arXiv:2405.13540: FID 2.57, 2.33 and 1.79 with 1, 2 and 1000 evaluations, pseudo-LPIPS).

python main.py --config=configs/dddm/cifar10_vp.py --mode=train --workdir=runs/dddm_cifar10_vp
python main.py --config=configs/dddm/cifar10_vp.py --mode=check --workdir=runs/dddm_cifar10_vp --config.sampling.nfe=2

Behind a colon stands the distance: cifar10_vp.py:mse, :pseudo_huber (if there is none), :adaptive_pseudo_huber
(arXiv:2405.21059) or :pseudo_lpips, which needs the weights of LPIPS. Not trained here; digits.py has a variant that
did better on small data.
"""

from linnet.configs.default import get_config as default


def get_config(loss="pseudo_huber"):
    config = default("vp", "unet")
    config.sde.update(schedule="discrete", num_steps=4000, beta_min=0.01, beta_max=50.0)
    config.model.update(num_res_blocks=3, dropout=0.3, prediction="direct", cross_attention=True)
    config.training.update(objective="dddm", loss=loss, n_iters=400_001, snapshot_nfe=(1, 5))
    config.training.loss_c = 1.0 if loss == "adaptive_pseudo_huber" else 1.4e-4
    config.optim.update(optimizer="AdamW", lr=1e-4, warmup=0, grad_clip=-1.0)
    config.sampling.update(method="fixed_point", nfe=1)
    return config
