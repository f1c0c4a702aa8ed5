"""A noise-conditional classifier, for guidance: cross entropy of the class of a noised image.

    u = Psi(t, 0) lift(x) + R(t) eps      loss = -log p(y | u, t)

as in score_sde's controllable generation (arXiv:2011.13456, appendix I) and ADM (arXiv:2105.05233). Of processes with
more components the network sees all of the state, as every other one does.
"""

import jax.numpy as jnp

from linnet.arrays import Array
from linnet.training.objectives.at_times import AtTimes
from linnet.training.objectives.base import Condition, Params, Seen, dropout_keys


class Classifier(AtTimes):
    """-log p(y | u, t), and the share of the images whose class is the likeliest.

    ValueError for a network that is no classifier, and for labels that are dropped.
    """

    by_time = ("accuracy",)
    draws = False

    def __init__(self, config, eps_net):
        super().__init__(config, eps_net)
        if eps_net.prediction != "class":
            raise ValueError(
                "config.training.objective='classifier' is for a classifier: set config.model.name=encoder"
            )
        if config.training.label_dropout:
            raise ValueError("config.training.label_dropout means nothing to config.training.objective='classifier'")

    def losses(
        self, params: Params, x: Array, keys: Array, t: Array, train: bool = True, condition: Condition = None
    ) -> Array:
        return self.examine(params, x, keys, t, train, condition)[0]

    def examine(
        self,
        params: Params,
        x: Array,
        keys: Array,
        t: Array,
        train: bool = True,
        condition: Condition = None,
        estimates: dict[str, Array] | None = None,
    ) -> Seen:
        """condition: {"label" (B,)}. Seen is the "accuracy" of each example, 0 or 1."""
        u, _ = self.noised(x, keys, t)
        label = (condition or {})["label"]
        log_probs = self.eps_net.log_probs(params, u, t, dropout_keys(keys, train))
        losses = -jnp.take_along_axis(log_probs, label[:, None], axis=1)[:, 0]
        return losses, {"accuracy": (log_probs.argmax(1) == label).astype(losses.dtype)}
