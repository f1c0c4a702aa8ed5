# %% [markdown]
# # Tutorial: rings under critically-damped Langevin diffusion
#
# From the equations of a linear SDE to samples of a trained network, in Python alone. The source of this page is
# `docs/tutorial.py`: where Linnet is installed (`pip install .`) run it as it is (minutes on two CPU cores), or open it
# as a notebook; VS Code, PyCharm, Spyder and jupytext know the marks `# %%`. The pictures below are its own.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from linnet.configs.toy.rings_cld import get_config
from linnet.data import get_dataset
from linnet.evaluation.sliced_wasserstein import sliced_wasserstein
from linnet.models import create_model
from linnet.models.eps_net import create_eps_net
from linnet.randomness import fold
from linnet.samplers import SAMPLERS
from linnet.sde_lib import blocks, get_sde
from linnet.sde_lib.exact import gaussian_eps
from linnet.training.objectives import get_objective
from linnet.training.optimizer import create_optimizer
from linnet.training.state import TrainState, ema_rates

STEPS = 4000  # of training
BUDGETS = (5, 10, 20, 50)  # network evaluations
SAMPLES = 4096
PICTURES = "."  # folder


def save(figure, name):
    figure.savefig(os.path.join(PICTURES, f"tutorial_{name}.png"), dpi=90, bbox_inches="tight")


# %% [markdown]
# ## The equations
#
# Every process of Linnet is a linear SDE, $\mathrm du = F u\,\mathrm dt + G\,\mathrm dw$, and Gaussians stay Gaussian:
#
# $$u_t \mid x_0 \sim \mathcal N\bigl(\Psi(t,0)\,u_0,\ \Sigma(t)\bigr), \qquad \partial_t\Psi = F\,\Psi, \qquad
# \dot\Sigma = F\Sigma + \Sigma F^\top + GG^\top .$$
#
# In CLD the state $u = (x, v)$ has a velocity, and noise enters through $v$ alone. The data are positions at $t = 0$.
# $F$, $GG^\top$, $\Psi$ and $\Sigma$ are methods that give a $2 \times 2$ matrix for each time, here in float64.

# %%
config = get_config()
sde = get_sde(config)
t = np.linspace(0.05, 0.95, 10)
h = 1e-5


def slope(of):
    """The derivative by differences."""
    return (of(t + h) - of(t - h)) / (2 * h)


def largest(block):
    return float(np.abs(block).max())


F, GGt, Psi, Sigma = sde.F(t), sde.GGt(t), sde.Psi(t, 0.0), sde.Sigma(t)
F_Sigma = blocks.matmul(F, Sigma)
left_over = {
    "dPsi/dt = F Psi": largest(slope(lambda t: sde.Psi(t, 0.0)) - blocks.matmul(F, Psi)),
    "dSigma/dt = F Sigma + Sigma F' + GG'": largest(slope(sde.Sigma) - F_Sigma - blocks.transpose(F_Sigma) - GGt),
}

# %% [markdown]
# The network predicts the noise: with a root $R$ of $\Sigma$ the state is $u_t = \Psi(t,0)\,u_0 + R(t)\,\varepsilon$,
# and the score $-R^{-\top}\varepsilon$. There are many roots; gDDIM's is the one that follows
#
# $$\dot R = \bigl(F + \tfrac12 GG^\top\Sigma^{-1}\bigr)R .$$

# %%
R = sde.R(t)
drift = F + 0.5 * blocks.matmul(GGt, blocks.inverse(Sigma))
left_over |= {
    "Sigma = R R'": largest(blocks.matmul(R, blocks.transpose(R)) - Sigma),
    "dR/dt = (F + GG' Sigma^-1 / 2) R": largest(slope(sde.R) - blocks.matmul(drift, R)),
}
for equation, value in left_over.items():
    print(f"{equation:38s} holds to {value:.1e}")

# %% [markdown]
# ## Why R and not L
#
# The Cholesky factor $L$ is a root of $\Sigma$ too. The probability flow tells them apart:
#
# $$\dot u = F u + \tfrac12 GG^\top R^{-\top}\varepsilon(u, t) .$$
#
# Let the data be one point. Along the flow the $\varepsilon$ of $R$ stands still, so that every step is exact, however
# long. The same noise in terms of $L$ is $L^{-1}R\,\varepsilon$, which turns while a step holds it fixed.

# %%
point = jnp.array([1.0, -0.5])
exact = gaussian_eps(sde, point, 0.0)
u_T = sde.prior(jax.random.key(0), (256, 2))


def follow(method, steps):
    """The states on the way with exact eps, and the root of the mean square of their distance to the point."""
    sampler = SAMPLERS[method](sde, nfe=steps, deis_order=0, noise_removal=False, trajectory=True)
    samples = jax.jit(lambda u: sampler(exact, None, u))(u_T)
    return samples.trajectory, float(jnp.sqrt(((sde.project(samples.u) - point) ** 2).sum(-1).mean()))


path, miss = follow("gddim", 8)
missed = {"R": miss, "L": follow("ldeis", 8)[1]}
left = float(np.sqrt(2 * sde.Sigma(sde.t_min)[0, 0, 0, 0]))
print(
    f"8 steps miss the point by {missed['R']:.4f} with R, by {missed['L']:.2f} with L; noise left at t_min: {left:.4f}"
)

with_R = jax.jit(jax.vmap(lambda t, u: exact(u, jnp.full(len(u), t))))(jnp.asarray(path["t"]), path["u"])
turn = blocks.matmul(blocks.inverse(sde.L(path["t"])), sde.R(path["t"]))
with_L = [blocks.apply(O, e) for O, e in zip(turn, np.asarray(with_R), strict=True)]
noise = {"R": np.asarray(with_R), "L": np.stack(with_L)}

figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
for axis, (root, eps) in zip(axes, noise.items(), strict=True):
    axis.plot(path["t"], eps[:, :6, 0], color="C0", lw=1)
    axis.plot(path["t"], eps[:, :6, 2], color="C1", lw=1)
    axis.set(title=f"eps in terms of {root}: position blue, velocity orange", xlabel="t")
    axis.title.set_fontsize(8)
save(figure, "eps")

# %% [markdown]
# ![eps along the flow, in terms of R and of L](results/tutorial_eps.png)
#
# ## Training
#
# Four rings, and a small perceptron that predicts $\varepsilon$. The objective draws times and noise and compares; the
# state holds parameters, Adam, and an average of the parameters, which is what is sampled from. `python main.py
# --mode=train --config=configs/toy/rings_cld.py` does the same with checkpoints, logs and all devices.

# %%
points = jnp.asarray(get_dataset(config, "train").arrays()[0])
test_points = get_dataset(config, "test").arrays()[0][:SAMPLES]
eps_net = create_eps_net(config, create_model(config), sde)
objective = get_objective(config, eps_net)
optimizer = create_optimizer(config)
rates = ema_rates(config)
batch_size = 512


@jax.jit
def step(state):
    keys = fold(fold(jax.random.key(1), state.step), jnp.arange(batch_size + 2))
    x = points[jax.random.randint(keys[0], (batch_size,), 0, len(points))]
    times = objective.times(keys[1], jnp.arange(batch_size), batch_size)

    def mean_loss(params):
        return objective.losses(params, x, keys[2:], times).mean()

    loss, gradient = jax.value_and_grad(mean_loss)(state.params)
    return state.apply_gradients(gradient, optimizer, rates), loss


state = TrainState.create(eps_net.init(jax.random.key(2), points.shape[1:]), optimizer, rates)
losses = np.zeros(STEPS)
for i in range(STEPS):
    state, losses[i] = step(state)
quarter = -(-STEPS // 4)
print("loss of each quarter of the steps:", [f"{losses[i : i + quarter].mean():.4f}" for i in range(0, STEPS, quarter)])
eps_fn = eps_net.bind(state.ema[0])

# %% [markdown]
# ## Trajectories of x and v
#
# A sampler is a function (network, key, $u_T$) -> samples. Here it follows the probability flow from the prior, whose
# velocities have variance $1/m^{-1} = 1/4$, and keeps the states on the way. Noise reaches $x$ through $v$ only: the
# positions are smooth, and settle on the rings while the velocities fade out.

# %%
sampler = SAMPLERS["gddim"](sde, nfe=100, trajectory=True)
flow = jax.jit(lambda u: sampler(eps_fn, None, u).trajectory)(sde.prior(jax.random.key(3), (SAMPLES, 2)))

figure, axes = plt.subplots(2, 1, figsize=(8, 4), sharex=True)
for axis, name, column in zip(axes, ("x", "v"), (0, 2), strict=True):
    axis.plot(flow["t"], flow["u"][:, :12, column], lw=1)
    axis.set(ylabel=f"${name}_1$")
axes[1].set(xlabel="t", xlim=(1, 0))
save(figure, "trajectories")

figure, axes = plt.subplots(2, 5, figsize=(10, 4.2), sharex=True, sharey=True)
for column, at in zip(axes.T, np.linspace(0, len(flow["t"]) - 1, 5).astype(int), strict=True):
    for axis, first, name in zip(column, (0, 2), ("x", "v"), strict=True):
        axis.scatter(*flow["u"][at, :, first : first + 2].T, s=1, lw=0)
        axis.set(aspect="equal", title=f"{name} at t = {flow['t'][at]:.2g}", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
save(figure, "states")

# %% [markdown]
# ![x and v of twelve samples along the flow](results/tutorial_trajectories.png)
#
# ![Positions and velocities of all samples at five times](results/tutorial_states.png)
#
# ## Samplers against evaluations
#
# What a method is worth shows with few evaluations of the network. The distance is the sliced Wasserstein distance to
# the training points; that of as many test points is what a perfect model has.

# %%
methods = {
    "gDDIM, order 0": ("gddim", {"deis_order": 0}),
    "gDDIM, order 2": ("gddim", {"deis_order": 2}),
    "order 2 with L": ("ldeis", {"deis_order": 2}),
    "Euler-Maruyama": ("em", {}),
}
perfect = sliced_wasserstein(test_points, np.asarray(points))
distances = {}
for label, (method, settings) in methods.items():
    for nfe in BUDGETS:
        sampler = SAMPLERS[method](sde, nfe=nfe, **settings)
        draw = jax.jit(lambda key, u, sampler=sampler: sde.project(sampler(eps_fn, key, u).u))
        x = draw(jax.random.key(4), sde.prior(jax.random.key(5), (SAMPLES, 2)))
        distances[label, nfe] = sliced_wasserstein(np.asarray(x), np.asarray(points))

figure, axis = plt.subplots(figsize=(5, 3.2))
print("evaluations      ", *(f"{nfe:8d}" for nfe in BUDGETS))
for label in methods:
    values = [distances[label, nfe] for nfe in BUDGETS]
    print(f"{label:17s}", *(f"{value:8.3f}" for value in values))
    axis.loglog(BUDGETS, values, marker=".", label=label)
print(f"test points: {perfect:.3f}")
axis.axhline(perfect, color="0.6", lw=1, label="test points")
axis.set(xlabel="network evaluations", ylabel="sliced Wasserstein distance")
axis.minorticks_off()
axis.set_xticks(BUDGETS, BUDGETS)
axis.legend(fontsize=7)
save(figure, "samplers")
plt.close("all")

# %% [markdown]
# ![Distance against evaluations](results/tutorial_samplers.png)
#
# | evaluations | 5 | 10 | 20 | 50 |
# |---|---|---|---|---|
# | gDDIM, order 0 | 0.642 | 0.366 | 0.208 | 0.098 |
# | gDDIM, order 2 | 0.704 | 0.238 | 0.065 | 0.034 |
# | order 2 with L | 1.7e4 | 1.9e3 | 6.61 | 0.041 |
# | Euler-Maruyama | 5.60 | 0.101 | 0.037 | 0.037 |
#
# Test points have 0.030. The order pays from 10 evaluations on, and with L not before 50. On these thin rings the noise
# of Euler-Maruyama repairs what steps miss: it is ahead at 10 and 20. Other processes and data are among the results.
#
# [The method](method.md) derives what was used here, for every process; `examples/` has programs of one's own process,
# sampler and network.
