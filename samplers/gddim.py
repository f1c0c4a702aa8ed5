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

import dataclasses
from collections.abc import Sequence

import numpy as np

from linnet.arrays import Host
from linnet.samplers import coefficients, grids
from linnet.samplers.base import Depends
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.exponential import LambdaRecursion, Recursion
from linnet.sde_lib import blocks

MAX_GAIN = 0.5  # of a correction on an error of the prediction


class GDDIM(Recursion):
    """deis_order: 0..3.

    3 follows an exact eps more closely than 2, but with 20 evaluations of CLD and blur it amplifies errors of eps of
    one percent to other images.
    """

    deis_order: int = 2

    order = Depends("deis_order + 1", lambda sampler: sampler.deis_order + 1)
    reference = "arXiv:2206.05564"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return coefficients.multistep(self.sde, times, self.deis_order, past=past)


class LDEIS(GDDIM):
    """gDDIM on the Cholesky factor; the evaluations of the R-trained network are rotated."""

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        rows = coefficients.multistep(self.sde, times, self.deis_order, "L", past=past)
        return coefficients.rotate(rows, self.sde, past)


class Order0(GDDIM):
    """gDDIM of order 0."""

    deis_order: int = dataclasses.field(default=0, init=False)

    order = 1


class HybridGDDIM(GDDIM):
    """gDDIM on the hybrid grid: noise_nfe_ratio of the steps, all equal, down to img_t_ratio T; then the power grid."""

    grid: str = dataclasses.field(default="hybrid", init=False)
    img_t_ratio: float = 0.3
    noise_nfe_ratio: float = 0.3

    def grid_times(self, steps: int) -> Host:
        ratios = {"img_t_ratio": self.img_t_ratio, "noise_nfe_ratio": self.noise_nfe_ratio}
        return grids.make_grid(self.grid, self.sde, steps, self.ts_order, **ratios)


class AdamsMoulton(Recursion):
    """Predict with order q = deis_order, evaluate, and correct with order q + 1.

    A correction of eps multiplies an error of the prediction by C_0 R^-1, C_0 the weight of the new evaluation (exactly
    so for data on one point), which grows with the ratio of noise to signal before and after the step. With 20
    evaluations it reaches 3 on CLD and 8 on blur (50 with 10), and the samples would diverge; so steps, and frequencies
    of a step, with a gain above MAX_GAIN keep their prediction. The data predictions that UniPC corrects have no gain.

    lower_order_final: the order of the last steps falls, to 0 in the last prediction.
    """

    deis_order: int = 1
    lower_order_final: bool = False

    order = Depends("deis_order + 2", lambda sampler: sampler.deis_order + 2)
    reference = "arXiv:2206.05564, algorithm 1"
    form = {"prediction": "eps", "variable": "t"}

    def _steps(self, times, past):
        """(predictor rows, correction (N, q + 2, ...) of what they added by y_{i+1}, y_i, ..., y_{i-q}, stable).

        stable (N,) + spatial: whether the step is corrected there; elsewhere the correction is 0.
        """
        q = self.deis_order
        form = self.form | {"past": past, "lower_order_final": self.lower_order_final}
        predict = coefficients.multistep(self.sde, times, q, **form)
        correct = coefficients.multistep(self.sde, times, q + 1, implicit=True, **form).eps
        correct[:, 1:] -= predict.eps
        stable = self._stable(np.asarray(times)[1:], correct[:, 0])
        return predict, correct * stable[:, None, ..., None, None], stable

    def _stable(self, ends, weight):
        """Whether the gain of weight (N, ...) on y at times `ends` is small enough: (N,) + spatial."""
        if self.form["prediction"] == "data":
            return np.ones(weight.shape[:-2], bool)
        gain = blocks.matmul(weight, blocks.inverse(self.sde.R(ends)))
        return np.abs(np.linalg.eigvals(gain)).max(-1) <= MAX_GAIN


class PECE(AdamsMoulton):
    """AdamsMoulton with two evaluations a step, the second at the corrected point.

    A step that cannot be corrected in all its elements spends them on two predictions, with a node in its middle.
    """

    nfe_per_step = 2

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        times = np.asarray(times, np.float64)
        q = self.deis_order
        whole = self._steps(times, past)[2].all((1, 2))
        middle = (times[:-1][~whole] ** 0.5 + times[1:][~whole] ** 0.5) ** 2 / 4
        times = np.sort(np.concatenate([times, middle]))[::-1]
        both = np.repeat(whole, np.where(whole, 1, 2))
        predict, correct, _ = self._steps(times, past)
        # The evaluation at the start of step i is number at[i + q]; before the first step they are two apart.
        at = np.concatenate([np.arange(-2 * q, 0, 2), np.cumsum(np.append(0, 1 + both))])
        N = at[-1]
        rows = Coefficients(
            np.zeros(N),
            np.zeros((N, *predict.psi.shape[1:])) + blocks.identity(self.sde.k),
            np.zeros((N, 2 * q + 2, *predict.psi.shape[1:])),
        )
        for i, corrected in enumerate(both):
            start = at[i + q]
            known = start - at[i + q - np.arange(q + 1)]
            rows.times[start] = times[i]
            rows.psi[start] = predict.psi[i]
            rows.eps[start, known] = predict.eps[i]
            if corrected:
                rows.times[start + 1] = times[i + 1]
                rows.eps[start + 1, 0] = correct[i, 0]
                rows.eps[start + 1, 1 + known] = correct[i, 1:]
        return rows


class PEC(AdamsMoulton):
    """AdamsMoulton with one evaluation a step: row i corrects step i - 1 and predicts step i."""

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        predict, correct, _ = self._steps(times, past)
        width = ((0, 0), (0, 1)) + ((0, 0),) * (predict.psi.ndim - 1)
        eps = np.pad(predict.eps, width)
        eps[1:] += blocks.matmul(predict.psi[1:, None], correct[:-1])
        return predict._replace(eps=eps)


class SDEIS(LambdaRecursion):
    """Stochastic gDDIM. deis_order is that of the polynomial of data predictions in t."""

    deis_order: int = 0

    order = Depends("1; deis_order + 1 without noise", lambda s: 1 if s.stochastic else s.deis_order + 1)
    reference = "arXiv:2206.05564, section 4"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return coefficients.multistep(
            self.sde, times, self.deis_order, past=past, prediction="data", lambda_coef=self.lambda_coef
        )
