"""gDDIM (arXiv:2206.05564): exponential integrators with the factor R, for every process.

    gddim       t-Adams-Bashforth, one evaluation a step; on VP t-AB-DEIS (arXiv:2204.13902), at order 0 DDIM
    ldeis       the same on the Cholesky factor, the ablation
    hybdeis     the same on the hybrid grid
    gddim_pece  predict (order q), evaluate, correct (Adams-Moulton of order q + 1), evaluate again
    gddim_pec   predict, evaluate, correct; the evaluation at the predicted point serves the next prediction
    sdeis       the lambda-SDE, from data predictions: order 0 is stochastic gDDIM, DDIM with eta = 1 at lambda = 1

The multilinear variant of gDDIM's code (mldeis) takes the rotation part of F out by a change of variables, which leaves
each step as it is: the name is an alias of gddim.
"""

import numpy as np

from samplers import coefficients, grids
from samplers.coefficients import Coefficients
from samplers.exponential import Recursion
from sde_lib import blocks


class GDDIM(Recursion):
    """nfe evaluations in all; with noise_removal the last one is the denoising step.

    deis_order: 0..3. grid, ts_order: see grids; None is the grid of the process (`LinearSDE.grid`).
    """

    order = "deis_order + 1"
    reference = "arXiv:2206.05564"

    def __init__(self, sde, *, nfe=50, deis_order=2, ts_order=2, grid=None, noise_removal=True, trajectory=False):
        self.deis_order, self.order = deis_order, deis_order + 1
        self.build_on_grid(sde, nfe, grid, ts_order, noise_removal, trajectory)

    def table(self, times, past=()):
        return coefficients.multistep(self.sde, times, self.deis_order, past=past)


class LDEIS(GDDIM):
    """gDDIM on the Cholesky factor; the evaluations of the R-trained network are rotated."""

    def table(self, times, past=()):
        rows = coefficients.multistep(self.sde, times, self.deis_order, "L", past=past)
        return coefficients.rotate(rows, self.sde, past)


class Order0(GDDIM):
    """gDDIM of order 0."""

    order = 1

    def __init__(self, sde, *, nfe=50, ts_order=2, grid=None, noise_removal=True, trajectory=False):
        super().__init__(
            sde, nfe=nfe, deis_order=0, ts_order=ts_order, grid=grid, noise_removal=noise_removal, trajectory=trajectory
        )


class HybridGDDIM(GDDIM):
    """gDDIM on the hybrid grid: noise_nfe_ratio of the steps, all equal, down to img_t_ratio T; then the power grid."""

    def __init__(
        self, sde, *, nfe=50, deis_order=2, ts_order=2, img_t_ratio=0.3, noise_nfe_ratio=0.3, noise_removal=True,
        trajectory=False,
    ):  # fmt: skip
        self.sde, self.deis_order, self.order = sde, deis_order, deis_order + 1
        times = grids.hybrid(sde, nfe - noise_removal, ts_order, img_t_ratio, noise_nfe_ratio)
        self.build(sde, times, noise_removal, trajectory)


class PredictorCorrector(Recursion):
    """Predict with order q = deis_order, evaluate, and correct with order q + 1; parameters as in GDDIM.

    On CLD and blur the correction of eps needs many steps to be stable; that of UniPC, on data predictions, does not.
    """

    order = "deis_order + 2"
    reference = "arXiv:2206.05564, algorithm 1"
    form = {"prediction": "eps", "variable": "t"}

    def __init__(self, sde, *, nfe=50, deis_order=1, ts_order=2, grid=None, noise_removal=True, trajectory=False):
        self.deis_order, self.order = deis_order, deis_order + 2
        self.build_on_grid(sde, nfe, grid, ts_order, noise_removal, trajectory)

    def _steps(self, times, past):
        """(predictor rows, correction (N, q + 2, ...) of what they added by y_{i+1}, y_i, ..., y_{i-q})."""
        q = self.deis_order
        predict = coefficients.multistep(self.sde, times, q, past=past, **self.form)
        correct = coefficients.multistep(self.sde, times, q + 1, past=past, implicit=True, **self.form).eps
        correct[:, 1:] -= predict.eps
        return predict, correct


class PECE(PredictorCorrector):
    """PredictorCorrector with two evaluations a step, the second at the corrected point."""

    nfe_per_step = 2

    def table(self, times, past=()):
        predict, correct = self._steps(times, past)
        N, q1 = predict.eps.shape[:2]
        eps = np.zeros((N, 2, 2 * q1) + predict.eps.shape[2:])
        eps[:, 0, 0::2] = predict.eps  # looks back at e_i, e_{i-1}, ... past the predicted points between them
        eps[:, 1, 0] = correct[:, 0]
        eps[:, 1, 1::2] = correct[:, 1:]
        psi = np.stack([predict.psi, np.zeros_like(predict.psi) + blocks.identity(self.sde.k)], 1)
        times = np.asarray(times, np.float64)
        nodes = np.stack([times[:-1], times[1:]], 1)
        return Coefficients(nodes.ravel(), psi.reshape(-1, *psi.shape[2:]), eps.reshape(-1, *eps.shape[2:]))


class PEC(PredictorCorrector):
    """PredictorCorrector with one evaluation a step: row i corrects step i - 1 and predicts step i."""

    def table(self, times, past=()):
        predict, correct = self._steps(times, past)
        width = ((0, 0), (0, 1)) + ((0, 0),) * (predict.psi.ndim - 1)
        eps = np.pad(predict.eps, width)
        eps[1:] += blocks.matmul(predict.psi[1:, None], correct[:-1])
        return predict._replace(eps=eps)


class SDEIS(Recursion):
    """Stochastic gDDIM with noise lambda_coef >= 0; 0 is the probability flow, 1 the reverse SDE.

    deis_order is that of the polynomial of data predictions in t. Other parameters as in GDDIM.
    """

    order = "1 (law)"
    stochastic = True
    reference = "arXiv:2206.05564, section 4"

    def __init__(
        self, sde, *, nfe=50, deis_order=0, lambda_coef=1.0, ts_order=2, grid=None, noise_removal=True,
        trajectory=False,
    ):  # fmt: skip
        if lambda_coef < 0:
            raise ValueError(f"sampling.lambda_coef={lambda_coef} must not be negative")
        self.deis_order, self.lambda_coef, self.order = deis_order, lambda_coef, deis_order + 1
        self.build_on_grid(sde, nfe, grid, ts_order, noise_removal, trajectory)

    def table(self, times, past=()):
        return coefficients.multistep(
            self.sde, times, self.deis_order, past=past, prediction="data", lambda_coef=self.lambda_coef
        )
