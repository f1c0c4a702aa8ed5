"""DPM-Solver++ (arXiv:2211.01095) and UniPC (arXiv:2302.04867) for every process.

Both integrate the data form of the flow (see `coefficients`) with polynomials of the data prediction D in log rho:

    dpmpp_2m, dpmpp_sde   u_t = H u_s + (S(t) - H S(s)) (D_i + (D_i - D_{i-1}) / (2 r)), r = h_{i-1} / h_i in log rho;
                          the published second-order step; dpmpp_sde takes H, and noise, of the lambda-SDE
    dpmpp_3m              the quadratic through three predictions, integrated exactly (published code halves the term of
                          the second derivative, which leaves it at second order)
    unipc                 the multistep predictor of the same kind with its one-order-higher corrector on the evaluation
                          that the next step uses anyway; weights are exact at all orders, so B(h) drops out
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from linnet.arrays import Host
from linnet.samplers import coefficients, grids
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.exponential import LambdaRecursion, Recursion
from linnet.samplers.gddim import PEC
from linnet.sde_lib.base import LinearSDE

DATA: dict[str, Any] = {"prediction": "data", "variable": "log_rho"}


def second_order(
    sde: LinearSDE, times: Host, past: Sequence[float] | Host, lambda_coef: float, lower_order_final: bool = False
) -> Coefficients:
    """Rows of DPM-Solver++(2M), of the probability flow (lambda_coef 0) or the lambda-SDE."""
    rows = coefficients.multistep(sde, times, 0, prediction="data", lambda_coef=lambda_coef)
    line = grids.log_rho(sde, np.concatenate([past[:1], times]))
    steps = np.diff(line)
    ahead = 0.5 * steps[1:] / steps[:-1]  # 1 / (2 r)
    if not len(past):
        ahead = np.concatenate([[0.0], ahead])
    if lower_order_final:
        ahead[-1] = 0.0
    ahead = ahead.reshape((-1,) + (1,) * (rows.psi.ndim - 1))
    weight = rows.eps[:, 0]
    return rows._replace(eps=np.stack([(1 + ahead) * weight, -ahead * weight], 1))


class DPMpp2M(Recursion):
    """DPM-Solver++(2M). lower_order_final: the last step is of first order."""

    grid: str | None = "log_snr"
    lower_order_final: bool = False

    order = 2
    reference = "arXiv:2211.01095, algorithm 2"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return second_order(self.sde, times, past, 0.0, self.lower_order_final)


class DPMpp3M(DPMpp2M):
    """DPM-Solver++(3M) with exact weights. lower_order_final: the order of the last steps falls to one."""

    order = 3

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        form = DATA | {"lower_order_final": self.lower_order_final}
        return coefficients.multistep(self.sde, times, 2, past=past, **form)


class DPMppSDE(LambdaRecursion):
    """SDE-DPM-Solver++(2M): the lambda-SDE."""

    grid: str | None = "log_snr"

    order = 2
    reference = "arXiv:2211.01095, appendix D"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return second_order(self.sde, times, past, self.lambda_coef)


class UniPC(PEC):
    """UniPC of order deis_order + 1 in the predictor."""

    grid: str | None = "log_snr"
    deis_order: int = 2

    reference = "arXiv:2302.04867"
    form = DATA
