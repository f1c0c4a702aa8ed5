"""Critically-damped Langevin diffusion (arXiv:2112.07068), with gDDIM's factor R (arXiv:2206.05564).

    F = beta [[0, m_inv], [-1, -Gamma m_inv]],   G G^T = diag(0, 2 Gamma beta),   Gamma = 2 / sqrt(m_inv),
    beta(t) = beta_0 + beta_1 t

It is phase-space Langevin diffusion without noise in the position, at twice the rate (see `pld`, `langevin`).
"""

from linnet.sde_lib.pld import PLD


class CLD(PLD):
    """Critically-damped Langevin diffusion, k = 2; parameters as in PLD."""

    def __init__(self, m_inv=4.0, beta_0=4.0, beta_1=0.0, vv_gamma=0.04, eps=1e-6, t_min=1e-3, image_shape=None):
        super().__init__(0.0, m_inv, 2 * beta_0, 2 * beta_1, vv_gamma, eps, t_min)
