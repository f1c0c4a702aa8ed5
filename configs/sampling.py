"""Keys of how images are drawn: the group `sampling`."""

from typing import Any

from ml_collections.config_dict import placeholder


def sampling() -> dict[str, Any]:
    """Keys that a method does not take are refused on the command line; None stands for the method's own default."""
    return {
        "method": "gddim",  # --mode=sample --config.sampling.method=list shows them all
        "nfe": 50,  # network evaluations per image
        "labels": "",  # class-conditional networks: names or numbers like dog,cat or 3,5; "": all in turn
        "guidance": 1.0,  # scale of classifier-free guidance; 1: none
        # Workdir, checkpoint or export of a classifier (objective classifier) of the network's process.
        "classifier": "",
        "classifier_scale": placeholder(float),  # of its gradient; by default 1, which is Bayes' rule
        "guide": "",  # autoguidance: workdir, checkpoint or export of a weaker network of the network's process
        "guide_scale": placeholder(float),  # 1: none; above, away from the guide; there is no default
        # Noise levels (low, high) between which there is guidance of any kind: sigma/alpha of VP, sigma of VE and EDM;
        # (): at all.
        "guidance_interval": (),
        "table": "",  # a file of --mode=tune, in place of the method and its keys
        "times": (),  # decreasing times of the steps from T to t_min, in place of grid and nfe
        "times_in": placeholder(str),  # what times are: t | rho (noise levels sigma / alpha)
        "analytic_first": placeholder(bool),  # the first evaluation is that of the prior, which is free
        "grid": placeholder(str),  # times: power | uniform | log_snr | rho | hybrid
        "ts_order": placeholder(float),  # exponent of the grids power (by default 2) and rho (7)
        "noise_removal": True,  # one of the evaluations is a denoising step at t_min
        "trajectory": False,  # keep the states and predicted images of every step
        "deis_order": placeholder(int),  # gddim and relatives, ipndm: 0 to 3
        "lower_order_final": placeholder(bool),  # dpmpp_2m, 3m, unipc, ipndm, gddim_pec, pece: lower orders at the end
        "img_t_ratio": placeholder(float),  # hybdeis: where the uniform part of the grid ends
        "noise_nfe_ratio": placeholder(float),  # hybdeis: share of the evaluations spent there
        "respacing": placeholder(str),  # ddpm, ddim, in place of nfe: steps kept (sde_lib.respacing), 250 | quad50 ...
        "variance": placeholder(str),  # ddpm: in place of model.variance
        "eta": placeholder(float),  # ddim: 0 is deterministic, 1 is ddpm with the small variance
        "clip_denoised": placeholder(bool),  # ddpm, ddim, fixed_point: images to [-1, 1] at every step
        "lambda_coef": placeholder(float),  # stochastic methods: 0 is the ODE, 1 the usual reverse SDE
        "rk_method": placeholder(str),  # rho_rk: 1euler | 2heun | 3kutta | 4rk
        "atol": placeholder(float),  # ode: absolute tolerance
        "rtol": placeholder(float),  # ode: relative tolerance
        "predictor": placeholder(str),  # pc: euler_maruyama | reverse_diffusion | ancestral | none
        "corrector": placeholder(str),  # pc: langevin | ald | none
        "snr": placeholder(float),  # pc: signal-to-noise ratio of a corrector step
        "n_steps_each": placeholder(int),  # pc: corrector steps per predictor step
        "probability_flow": placeholder(bool),  # pc: predictor follows the ODE
        "s_churn": placeholder(float),  # heun: as in EDM
        "s_min": placeholder(float),
        "s_max": placeholder(float),
        "s_noise": placeholder(float),
    }
