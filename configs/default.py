"""Every key, with its meaning, unit and default. An experiment file changes a few of them.

Names follow score_sde and gDDIM where they have the key. The groups `sde`, `network_sde` and `model` hold the keys of
the chosen process (configs/processes.py) and network only: `sde("cld")`, `model("ncsnpp")`. Durations are in optimiser
steps unless the name says more. What a key may hold (type, range, one number or several) is in configs/rules.py.
"""

import copy
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from linnet.configs import comparison, inverse, tuning
from linnet.configs.processes import NETWORK_SDE, SDE
from linnet.configs.sampling import sampling

BORDER = {
    "ema_rate": 0.9999,  # or a tuple of rates; the first is the one that is sampled from
    # What the network's output means: eps | score (score_sde's VE) | x_0 | v | previous (mean of the step before, on a
    # discrete chain) | edm | edm_aligned (CLD: in a basis with x_0 in one component) | velocity (CLD-SGM) | flow (du/dt
    # of the probability flow, as rectified flow) | direct (DDDM) | class (encoder alone: logits of a classifier).
    "prediction": "eps",
    # Variance of the reverse steps of a discrete chain: fixed_small | fixed_large | learned_range | learned (the latter
    # two need a network with learn_sigma).
    "variance": "fixed_large",
    "rescale_timesteps": False,  # discrete chain: labels from 0 to 1000 whatever sde.num_steps
    # States of a process without a chain, where the network knows states (training.continuous = False, or prediction =
    # direct): by default 1000. A chain has sde.num_steps.
    "num_scales": placeholder(int),
    "context_noise": 0.0,  # direct: share of noise in what the network is told of the earlier estimate, 0 to 1
    "sigma_data": 0.5,  # edm, edm_aligned: standard deviation of the data in the model's range
    "mixed_score": False,  # CLD: eps = net + R^-1 (0, v); with velocity, CLD-SGM's mixed score
}
CLASSIFIER_BORDER = {
    "prediction": "class",
    **{key: BORDER[key] for key in ("ema_rate", "rescale_timesteps", "num_scales")},
}
NETWORK = {
    "nf": 128,  # channels of the first level; width of an MLP
    "num_res_blocks": 4,  # blocks of each level
    "dropout": 0.1,
    "nonlinearity": "swish",
    "dtype": "float32",  # of convolutions and products: float32 | bfloat16; parameters and norms stay float32
}
CONVOLUTIONAL = NETWORK | {
    "ch_mult": (1, 2, 2, 2),  # channels of each level, in units of nf
    "attn_resolutions": (16,),  # image heights at which attention acts
    "resamp_with_conv": True,
    "conditional": True,  # on the noise level
    "remat": False,  # recompute activations in the backward pass: less memory, about a third more work
    "scale_by_sigma": False,  # divide the output by sigma (VE)
    "sigma_min": 0.01,  # with num_scales: noise levels of integer labels, where scale_by_sigma needs them
    "sigma_max": 50.0,
}
EMBEDDING = {
    "embedding_type": "positional",  # positional | fourier (of the logarithm of the label)
    "fourier_scale": 16.0,
}
MODEL = {
    "ncsnpp": BORDER
    | CONVOLUTIONAL
    | EMBEDDING
    | {
        "name": "ncsnpp",
        "log_label": False,  # positional: embed log(sigma)/4 in place of the label (EDM)
        "num_classes": 0,  # 0: not conditioned on a class; -1: as many as the data has
        "fir": False,  # anti-aliased resampling
        "fir_kernel": (1, 3, 3, 1),
        "skip_rescale": True,
        "resblock_type": "biggan",  # ddpm | biggan
        "progressive": "none",  # none | output_skip | residual
        "progressive_input": "none",  # none | input_skip | residual
        "progressive_combine": "sum",  # sum | cat
        "init_scale": 0.0,  # of the last convolution of each block; 0 starts at the identity
        "attn_num_groups": 0,  # norm groups of attention blocks as in diffusers (32); 0: min(C//4, 32)
        "norm_num_groups": 0,  # those of the middle and of the last norm; 0: min(C//4, 32)
    },
    "ddpm": BORDER
    | CONVOLUTIONAL
    | {
        "name": "ddpm",
        "num_res_blocks": 2,
        "attn_every_block": False,  # on the way back (DDPM's code, diffusers); False: once per level (score_sde)
    },
    "unet": BORDER
    | {
        "name": "unet",
        "num_channels": 128,  # channels in units of which levels are wide
        "channel_mult": (),  # channels of each level; (): as published for the image size
        "num_res_blocks": 2,  # blocks of each level
        "attention_resolutions": (16, 8),  # heights of the feature maps at which attention acts
        "num_heads": 4,
        "num_head_channels": -1,  # channels of a head in place of num_heads; -1: num_heads counts
        "num_heads_upsample": -1,  # heads on the way back; -1: num_heads
        "use_scale_shift_norm": True,  # time scales and shifts normalised features; False: is added before
        "resblock_updown": False,  # residual blocks resample
        "conv_resample": True,  # convolutions resample; False: mean and nearest neighbour
        "use_new_attention_order": False,
        "freq_shift": 0.0,  # of the frequencies that embed the time: 10000^(-i/(h - freq_shift))
        "norm_eps": 1e-5,
        "norm_num_groups": 32,
        "downsample_padding": 1,  # 0: convolutions that halve pad the right and the lower border only
        "dropout": 0.0,
        "log_label": False,  # embed log(sigma)/4 in place of the label (EDM)
        "num_classes": 0,  # 0: not conditioned on a class; -1: as many as the data has
        "learn_sigma": False,  # twice the output channels, for variance = learned_range or learned
        "super_resolution": False,  # conditioned on a low-resolution image
        "cross_attention": False,  # attention blocks see a second image (DDDM: the earlier estimate)
        "concat": False,  # the second image is stacked onto the input
        "dtype": "float32",  # of convolutions and products: float32 | bfloat16
        "remat": False,  # recompute activations in the backward pass
    },
    "encoder": CLASSIFIER_BORDER
    | {
        "name": "encoder",
        "num_channels": 128,  # these as of the unet
        "channel_mult": (),
        "num_res_blocks": 2,
        "attention_resolutions": (16, 8),
        "num_heads": 4,
        "num_head_channels": -1,
        "use_scale_shift_norm": True,
        "resblock_updown": True,
        "conv_resample": True,
        "dropout": 0.0,
        "log_label": False,
        "pool": "attention",  # of the features, for the logits: attention | mean
        "num_classes": -1,  # -1: as many as the data has
        "dtype": "float32",
        "remat": False,
    },
    "mlp": BORDER | NETWORK | EMBEDDING | {"name": "mlp", "num_frequencies": 0, "dropout": 0.0, "concat": False},
}


def sde(name: str) -> ConfigDict:
    """The keys of process `name` with their defaults."""
    return ConfigDict(SDE[name], type_safe=False)


def model(name: str) -> ConfigDict:
    """The keys of network `name` with their defaults."""
    copied = copy.deepcopy(MODEL[name])  # a placeholder is shared by what it is put into
    return ConfigDict(copied, type_safe=False)


def get_config(process: str = "cld", network: str = "ncsnpp", network_process: str = "") -> ConfigDict:
    """The base of every experiment: CIFAR-10 sizes, process and network by name, and the network's own process."""
    return ConfigDict(
        {
            "seed": 42,
            "sde": sde(process),
            "network_sde": ConfigDict(NETWORK_SDE[network_process], type_safe=False),
            "model": model(network),
            "data": data(),
            "training": training(),
            "optim": optim(),
            "sampling": sampling(),
            "eval": evaluation(),
            "ood": ood(),
            "inpaint": inverse.inpaint(),
            "colorize": inverse.completions(),
            "super_resolution": inverse.super_resolution(),
            "edit": inverse.edit(),
            "tune": tuning.tune(),
            "compare": comparison.compare(),
        },
        type_safe=False,  # configs/rules.py says what a key takes; some take more than one type
    )


def data() -> dict[str, Any]:
    """Keys of the data set and of what is done to its images."""
    return {
        "dataset": "cifar10",  # digits | points | folder | cifar10 | mnist | ... (docs/data.md) | a TFDS name
        "path": "",  # folder: directory, zip or npz of images; published data: folder of their files; TFDS: data_dir
        "latents": "",  # npz of latents of these images, which --mode=encode_data writes, and others train on
        "autoencoder": "",  # of latents: folder of diffusers' AutoencoderKL, or package.module:Name of a Flax module
        "autoencoder_params": "",  # npz or safetensors of the parameters of package.module:Name
        "image_size": 32,  # height and width in pixels, or (H, W); 0: as the first image
        "num_channels": 3,  # 1, 3 or 4; 0: as the first image
        "background": (255, 255, 255),  # levels (R, G, B) under transparent pixels where num_channels is 1 or 3
        "crop": 0,  # centre crop of this many pixels before resizing; 0: none
        "classes": (),  # their names in the order of their numbers; (): as the data has them, noted by training
        "points": "rings",  # which 2-D density, for dataset = points
        "num_points": 20_000,
        "random_flip": True,  # horizontal, training only
        "centered": True,  # images in [-1, 1]; False: [0, 1], and the network maps them to [-1, 1]
        "uniform_dequantization": False,  # add U(0, 1) / 256 to the grey levels in training
        "low_res_size": 0,  # height of the low-resolution images for super-resolution; 0: none
        "low_res_path": "",  # sampling: folder, zip or npz of them; "": made from the images of eval.image_split
        "num_workers": 4,  # processes that decode images which do not fit into memory
    }


def training() -> dict[str, Any]:
    """Keys of the training loop and its objective."""
    return {
        "objective": "dsm",  # dsm (CLD: hybrid) | dddm | classifier; discrete chains: simple | hybrid | vlb
        "loss": "mse",  # simple: mse | l1 | huber; dddm: mse | pseudo_huber | adaptive_pseudo_huber | pseudo_lpips
        "loss_c": 1.4e-4,  # dddm: c of the pseudo losses
        "lpips_net": "vgg",  # pseudo_lpips: vgg | alex
        "lpips_path": "",  # folder of its weights; "": environment variable, cache or download
        "memory": "auto",  # dddm, where estimates are kept: device | host (one step per dispatch) | auto (by size)
        "memory_dtype": "float16",  # float16 | bfloat16 | float32
        "guide_floor": 0.0,  # dddm: the weight of the images themselves does not fall below this
        "vlb_weight": 1e-3,  # hybrid: weight of the variational bound in bits/dim
        "timestep_sampler": "uniform",  # simple, hybrid, vlb: uniform | loss_second_moment
        "label_dropout": 0.0,  # share of images trained on without their class, for guidance
        "batch_size": 128,  # over all devices and processes
        "n_iters": 1_000_001,  # optimiser steps
        "grad_accum": 1,  # parts into which the batch of a device is split, one after the other
        "engine": "pmap",  # pmap | mesh (moments and averages divided between the devices: less memory on each)
        "n_jitted_steps": 5,  # steps per dispatch on accelerators; on CPU it is 1
        "t_min": 1e-5,  # smallest training time
        "continuous": True,  # dsm. False: on the states alone, those of the chain or model.num_scales
        "reduce_mean": True,  # mean over pixels; False: half their sum
        "likelihood_weighting": False,
        "output_weighting": False,  # dsm: the error of the network's own output in place of that of eps (edm, flow)
        # dsm: log noise-to-signal ratio ~ N(P_mean, P_std^2) (EDM: -1.2, 1.2); None: uniform times
        "P_mean": placeholder(float),
        "P_std": placeholder(float),
        "log_freq": 100,
        "eval_freq": 2_000,  # loss on a test batch; 0: never
        "snapshot_freq": 50_000,  # a checkpoint kept for good, and a sample grid; 0: never
        "snapshot_freq_for_preemption": 10_000,  # checkpoints to resume from; 0: at the end and at a signal only
        # Widths of power-function averages that checkpoints keep, (0.05, 0.1) as in EDM2, of which --mode=ema makes
        # those of others after training; each takes the memory of the parameters. (): none
        "ema_stds": (),
        "keep_checkpoints": 2,  # how many of the newest are kept, at least 1
        "snapshot_sampling": True,
        "snapshot_sampling_batch": 64,  # images of the grid
        "snapshot_nfe": (),  # numbers of evaluations, each with its grid; (): sampling.nfe
        "snapshot_fid": 0,  # images of a distance at every snapshot, in the features of eval.extractor; 0: none
    }


def optim() -> dict[str, Any]:
    """Keys of the optimiser."""
    return {
        "optimizer": "Adam",  # Adam | AdamW (weight decay is decoupled in both; Adam requires it to be 0)
        "lr": 2e-4,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "warmup": 5_000,  # steps of linear warm-up from 0
        "grad_clip": 1.0,  # largest gradient norm; 0 or negative: off
    }


def evaluation() -> dict[str, Any]:
    """Keys of sampling from a checkpoint and of measuring what comes out."""
    return {
        "num_samples": 50_000,
        "batch_size": 1024,  # images sampled at a time, over all devices
        "png": False,  # also write each sample as png/<number>.png
        "params": "ema",  # ema | raw
        "ema_std": (),  # mode ema: widths of the averages that it makes; of several also the distances
        "extractor": "inception",  # of features: inception | digits | mnist | vgg (FD-VGG) | pixels
        "extractor_path": "",  # its weights; "": environment variable, cache or download
        "stats": "",  # npz of reference statistics; "": made from the training images and kept in the workdir
        "split": "train",  # which images the statistics are of
        "memorisation": False,  # check and fid: look for copies of the images of `split` among the samples
        "held_out": False,  # also report the distance of the test images to the statistics
        "image_split": "test",  # train | val | test; modes eval, encode and interpolate: which images
        "num_images": 0,  # so many, drawn by the seed; 0: all, encode 32, completions and edit 8. ood: of each kind
        "likelihood": "",  # mode eval: flow | bound (of the discrete chain); "": bound for objectives of the chain
        "bpd_estimator": "rademacher",  # of the trace in bits/dim: rademacher | gaussian | exact (small dimensions)
        "bpd_repeats": 1,  # flow: draws of dequantisation and velocity per image
        "flow_tolerance": 1e-5,  # relative and absolute, of the steps along the probability flow in these modes
    }


def ood() -> dict[str, Any]:
    """Keys of --mode=ood, outliers; how many images of each kind is eval.num_images."""
    return {
        "dataset": "folder",  # of the outliers, as data.dataset; their test images, or all where there is no such split
        "path": "",  # as data.path
        "recon_factor": (0.1, 0.25, 0.5),  # levels that images are noised to, as shares of the process
        "score": "l2",  # by which pictures are sorted: l1 | l2 | huber | loss | lpips | ..., with @0.25 of one level
        "lpips": False,  # also the perceptual distance to the reconstruction, by AlexNet
        "lpips_path": "",  # folder of its weights; "": environment variable, cache or download
        "bits": "",  # also scores from bits per dimension: flow | bound; "": without
    }
