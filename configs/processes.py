"""Keys of the processes, with their meanings, units and defaults: the groups `sde` and `network_sde`."""

SDE = {
    "vp": {
        "name": "vp",
        "schedule": "linear",  # linear | cosine, or of a discrete chain: discrete | discrete_cosine | quad
        "beta_min": 0.1,  # beta(0), or num_steps times the first beta of discrete and quad
        "beta_max": 20.0,  # beta(1), or num_steps times the last
        "num_steps": 1000,  # discrete: states of the chain
        "t_min": 1e-3,  # sampling ends here
    },
    "ve": {
        "name": "ve",
        "sigma_min": 0.01,  # noise level at t = 0
        "sigma_max": 50.0,  # noise level at t = 1; about the largest distance between two images
        "t_min": 1e-5,
    },
    "blur": {
        "name": "blur",
        "sigma_blur_max": 10.0,  # of the heat kernel at t = 1, in pixels
        "min_scale": 1e-3,  # what is left of the highest frequencies
        "rho_max": 80.0,  # noise-to-signal ratio at which sampling starts
        "t_min": 1e-5,
    },
    "cld": {
        "name": "cld",
        "m_inv": 4.0,  # inverse mass
        "beta_0": 4.0,  # beta(t) = beta_0 + beta_1 t
        "beta_1": 0.0,
        "vv_gamma": 0.04,  # variance of the initial velocity times the mass
        "eps": 1e-6,  # variance added to both components at t = 0
        "t_min": 1e-3,
    },
}
SDE["subvp"] = SDE["vp"] | {"name": "subvp"}
SDE["pld"] = SDE["cld"] | {"name": "pld", "beta_0": 8.0, "gamma": 0.01}  # gamma: friction of the position
SDE["hold"] = {"name": "hold", "beta_0": 5.0, "beta_1": 0.0, "va_gamma": 0.04, "eps": 1e-6, "t_min": 1e-3}
SDE["edm"] = {"name": "edm", "sigma_min": 0.002, "sigma_max": 80.0}  # time is the noise level
SDE["flow"] = {"name": "flow", "T": 0.994, "t_min": 1e-3}  # T: end of the process, below 1
SDE["trig"] = {"name": "trig", "T": 0.9961, "t_min": 1e-3}

NETWORK_SDE = {"": {"name": ""}} | SDE
"""The process that the network was trained under, where images are made under another one; "": that of `sde`."""
