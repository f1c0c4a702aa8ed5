"""What each key of configs/default.py may hold. A key that is not named here takes the type of its default.

Names (of processes, methods, losses ...) are looked up where they are registered.
"""

from numbers import Real
from typing import Any

from ml_collections import ConfigDict

from linnet.configs.kinds import Kind, Number, Optional, Path, Several, Switch, Text

COUNT = Number(int, at_least=1)
NATURAL = Number(int, at_least=0)
POSITIVE = Number(above=0)
NOT_NEGATIVE = Number(at_least=0)
SHARE = Number(at_least=0, at_most=1)
BELOW_ONE = Number(at_least=0, below=1)
INSIDE = Number(above=0, below=1)
WIDTHS = Several(Number(above=0, below=0.2886))  # 12^-1/2 is the width of weights that are all alike
LEVELS = Several(COUNT, least=1)

COMPLETIONS = {
    "iterations": COUNT,
    "resamples": COUNT,
    "completions": COUNT,
    "images": Path(),
    "lpips_path": Path(),
}
"""Of the modes that complete images."""

RULES: dict[str, Any] = {
    "seed": Number(int, at_least=0, below=2**64),
    "sde.beta_min": NOT_NEGATIVE,
    "sde.beta_max": POSITIVE,
    "sde.num_steps": COUNT,
    "sde.t_min": BELOW_ONE,
    "sde.sigma_min": POSITIVE,
    "sde.sigma_max": POSITIVE,
    "sde.m_inv": POSITIVE,
    "model.ema_rate": Several(BELOW_ONE, alone=True, least=1),
    "model.dropout": BELOW_ONE,
    "model.num_scales": COUNT,
    "model.sigma_data": POSITIVE,
    "model.context_noise": SHARE,
    "model.nf": COUNT,
    "model.num_channels": COUNT,
    "model.num_res_blocks": COUNT,
    "model.num_classes": Number(int, at_least=-1),
    "model.ch_mult": LEVELS,
    "model.channel_mult": Several(Number(Real, above=0)),
    "model.attn_resolutions": Several(COUNT),
    "model.attention_resolutions": Several(COUNT),
    "data.path": Path(),
    "data.low_res_path": Path(),
    "data.latents": Path(),
    "data.autoencoder": Path(),
    "data.autoencoder_params": Path(),
    "data.image_size": Several(NATURAL, alone=True, least=2, most=2),
    "data.num_channels": NATURAL,
    "data.crop": NATURAL,
    "data.background": Several(Number(int, at_least=0, at_most=255), least=3, most=3),
    "data.classes": Several(Text()),
    "data.num_points": COUNT,
    "data.low_res_size": NATURAL,
    "data.num_workers": NATURAL,
    "training.lpips_path": Path(),
    "training.guide_floor": SHARE,
    "training.vlb_weight": NOT_NEGATIVE,
    "training.label_dropout": SHARE,
    "training.batch_size": COUNT,
    "training.n_iters": COUNT,
    "training.grad_accum": COUNT,
    "training.n_jitted_steps": COUNT,
    "training.t_min": INSIDE,
    "training.P_std": POSITIVE,
    "training.log_freq": COUNT,
    "training.eval_freq": NATURAL,
    "training.snapshot_freq": NATURAL,
    "training.snapshot_freq_for_preemption": NATURAL,
    "training.keep_checkpoints": COUNT,
    "training.ema_stds": WIDTHS,
    "training.snapshot_sampling_batch": COUNT,
    "training.snapshot_nfe": Several(COUNT),
    "training.snapshot_fid": NATURAL,
    "optim.lr": POSITIVE,
    "optim.beta1": BELOW_ONE,
    "optim.beta2": BELOW_ONE,
    "optim.eps": NOT_NEGATIVE,
    "optim.weight_decay": NOT_NEGATIVE,
    "optim.warmup": NATURAL,
    "sampling.nfe": COUNT,
    "sampling.table": Path(),
    "sampling.classifier": Path(),
    "sampling.guide": Path(),
    "sampling.guidance_interval": Several(Number(at_least=0, infinite=True)),
    "sampling.times": Several(POSITIVE),
    "sampling.ts_order": POSITIVE,
    "sampling.deis_order": Number(int, at_least=0, at_most=3),
    "sampling.img_t_ratio": SHARE,
    "sampling.noise_nfe_ratio": SHARE,
    "sampling.eta": SHARE,
    "sampling.lambda_coef": NOT_NEGATIVE,
    "sampling.atol": POSITIVE,
    "sampling.rtol": POSITIVE,
    "sampling.snr": NOT_NEGATIVE,
    "sampling.n_steps_each": NATURAL,
    "sampling.s_churn": NOT_NEGATIVE,
    "sampling.s_min": NOT_NEGATIVE,
    "sampling.s_max": Number(at_least=0, infinite=True),
    "sampling.s_noise": NOT_NEGATIVE,
    "ood.path": Path(),
    "ood.recon_factor": Several(Number(above=0, at_most=1), least=1),
    "ood.lpips_path": Path(),
    **{
        f"{mode}.{key}": rule
        for mode in ("inpaint", "colorize", "super_resolution")
        for key, rule in COMPLETIONS.items()
    },
    "inpaint.share": INSIDE,
    "inpaint.masks": Path(),
    "super_resolution.factor": Number(int, at_least=2),
    "edit.strength": Several(Number(above=0, at_most=1)),
    "edit.images": Path(),
    "eval.num_samples": COUNT,
    "eval.batch_size": COUNT,
    "eval.ema_std": WIDTHS,
    "eval.extractor_path": Path(),
    "eval.stats": Path(),
    "eval.num_images": NATURAL,
    "eval.bpd_repeats": COUNT,
    "eval.flow_tolerance": INSIDE,
    "compare.runs": Several(Path(may_be_empty=False)),
    "tune.starts": COUNT,
    "tune.held_out": COUNT,
    "tune.fine_nfe": COUNT,
    "tune.history": COUNT,
    "tune.iterations": COUNT,
    "tune.batch_size": COUNT,
}

OF_TYPE: dict[type, Any] = {int: Number(int), float: Number(), bool: Switch(), str: Text()}


def kinds(prefix: str, group: ConfigDict) -> dict[str, Kind]:
    """The kind of each key of a group, {prefix + name: kind}; network_sde has the rules of sde."""
    return {
        prefix + name: kind((prefix + name).removeprefix("network_"), group.get_type(name), value)
        for name, value in group.items()
        if not isinstance(value, ConfigDict)
    }


def kind(key: str, type_: type, default: Any) -> Kind:
    """The kind of key "group.name": its rule, or one made from the type and value of its default.

    A key without a default (None) may be set back to None.
    """
    if type_ is tuple:
        return RULES.get(key) or Several(OF_TYPE[type(default[0])])
    found = RULES.get(key) or OF_TYPE[type_]
    return Optional(found) if default is None else found
