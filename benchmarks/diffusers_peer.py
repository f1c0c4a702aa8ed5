"""diffusers' schedulers on the mixture of `work_precision`: run by it, in a Python that has diffusers and torch.

python diffusers_peer.py in.npz out.npz       in: x_T (B, d), means (M, d), variances (M,), budgets
                                              out: one array (B, d) named "diffusers SCHEDULER SPACING/NFE" each
"""

import sys

import numpy as np
import torch
from diffusers import DEISMultistepScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

BETAS = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
SCHEDULERS = {
    "DEIS": (DEISMultistepScheduler, {"solver_order": 3}),
    "DPM++2M": (DPMSolverMultistepScheduler, {"solver_order": 2, "final_sigmas_type": "sigma_min"}),
    "DPM++3M": (DPMSolverMultistepScheduler, {"solver_order": 3, "final_sigmas_type": "sigma_min"}),
    "UniPC": (UniPCMultistepScheduler, {"solver_order": 3, "final_sigmas_type": "sigma_min"}),
}
SPACINGS = {"linspace": {}, "karras": {"use_karras_sigmas": True}}


def mixture_eps(x, alpha_bar, means, variances):
    """eps of the mixture at noise level alpha_bar: sqrt(1 - alpha_bar) sum_m p(m | x) (x - a mean_m) / P_m."""
    P = alpha_bar * variances + 1 - alpha_bar
    centres = alpha_bar**0.5 * means
    square = (x**2).sum(1, keepdim=True) - 2 * x @ centres.T + (centres**2).sum(1)
    pull = torch.softmax(-0.5 * square / P - 0.5 * x.shape[1] * torch.log(P), 1) / P
    return (1 - alpha_bar) ** 0.5 * (x * pull.sum(1, keepdim=True) - pull @ centres)


def level(scheduler, index):
    """alpha_bar that the scheduler means by its step `index` (its sigma, which a spacing may put between timesteps)."""
    sigma = scheduler.sigmas[index].double()
    return 1 / (sigma**2 + 1)


def main(given, made):
    """Runs every scheduler, spacing and budget of `given` and writes `made`."""
    with np.load(given) as arrays:
        x_T, means, variances = (torch.from_numpy(arrays[n]).double() for n in ("x_T", "means", "variances"))
        budgets = arrays["budgets"].tolist()
    out = {}
    for name, (scheduler_type, keys) in SCHEDULERS.items():
        for spacing, more in SPACINGS.items():
            for nfe in budgets:
                scheduler = scheduler_type(**BETAS, **keys, **more)
                scheduler.set_timesteps(nfe)
                x = x_T
                for i, t in enumerate(scheduler.timesteps):
                    x = scheduler.step(mixture_eps(x, level(scheduler, i), means, variances), t, x).prev_sample
                out[f"diffusers {name} {spacing}/{len(scheduler.timesteps)}"] = x.numpy()
    np.savez(made, **out)


if __name__ == "__main__":
    main(*sys.argv[1:])
