"""Images of a split to latents and back, for --mode=encode and interpolate.

Along the probability flow with adaptive steps, or with config.sampling.method=ddim along the steps of DDIM (eta = 0),
whose inverse is exact to first order (arXiv:2010.02502, section 4.3).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from linnet.data import transforms
from linnet.devices import parallel
from linnet.engine.batches import dealt_out
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers import flow
from linnet.samplers.base import EpsFunction, require
from linnet.samplers.likelihood import complete
from linnet.training.conditions import make_conditions
from linnet.training.objectives import objective_class


def flow_begin(config: ConfigDict, eps_net: Any) -> float:
    """Where the flow of images begins: the smallest time whose noise the network was trained at, and not 0."""
    return eps_net.begin(config.training.t_min, objective_class(config).on_chain)


class Latents:
    """encode: examples -> latents u_T (n, ..., k*C); decode: latents -> images in the range of the model.

    Images are states at `flow_begin`, and both directions follow the same curves. Components beside x are drawn from
    their law at t = 0, for image i always the same. A batch is {"image" (n, ...), "label" (n,), "index" (n,)}: networks
    of classes and of low-resolution images are given those of its images, in both directions.
    sampler: that of the config, of which DDIM is used. params: on the host. RuntimeError where the flow failed.
    """

    def __init__(self, config, sde, eps_net, sampler, params):
        t_min = flow_begin(config, eps_net)
        tolerance = config.eval.flow_tolerance
        conditions = make_conditions(config)
        ddim = config.sampling.method == "ddim"
        require(eps_net.bind(None), EpsFunction)
        if ddim and sampler.stochastic:
            raise ValueError("encoding by config.sampling.method=ddim needs config.sampling.eta=0")
        self.params = parallel.replicate(params)

        def conditioned(params, batch):
            x = transforms.to_model_range(batch["image"], centered=config.data.centered)
            return x, eps_net.bind(params, conditions(batch, x, None))

        def encode(params, batch):
            x, eps_fn = conditioned(params, batch)
            if ddim:
                return sampler.encode(eps_fn, x), jnp.asarray(sampler.nfe)
            keys = key_for(config.seed, Purpose.LATENTS, batch["index"])
            u, _ = complete(sde, fold(keys, Part.VELOCITY), x)
            states, nfe = flow.follow(sde, eps_fn, u, (t_min, sde.T), tolerance, tolerance)
            return states[-1], nfe

        def decode(params, batch, u_T):
            if ddim:
                samples = sampler(conditioned(params, batch)[1], jax.random.key(0), u_T)
                return samples.u, jnp.asarray(samples.nfe)
            states, nfe = flow.follow(sde, conditioned(params, batch)[1], u_T, (sde.T, t_min), tolerance, tolerance)
            return sde.project(states[-1]), nfe

        self._encode, self._decode = parallel.parallel(encode), parallel.parallel(decode)

    def encode(self, batch: dict[str, Any]) -> tuple[np.ndarray, int]:
        """(latents, evaluations of the slowest image)."""
        return self._run(self._encode, batch)

    def decode(self, u_T: np.ndarray, batch: dict[str, Any]) -> tuple[np.ndarray, int]:
        """(images in the range of the model, evaluations of the slowest image)."""
        return self._run(self._decode, batch, u_T)

    def encode_dealt(self, batch: dict[str, Any]) -> tuple[np.ndarray, int]:
        """`encode` of a batch of which each process takes its share; all have the whole."""
        return _dealt(self.encode, batch)

    def decode_dealt(self, u_T: np.ndarray, batch: dict[str, Any]) -> tuple[np.ndarray, int]:
        """`decode` in the same way."""
        return _dealt(lambda share: self.decode(share["u_T"], share), batch | {"u_T": u_T})

    def _run(self, function, batch, *latents):
        """`function` of arrays (n, ...), filled up to a multiple of the devices."""
        n = len(batch["image"])
        devices = jax.local_device_count()
        rows = np.arange(-(-n // devices) * devices) % n
        filled = jax.tree.map(lambda a: parallel.shard(a[rows]), (batch, *latents))
        values, nfe = arrived(*function(self.params, *filled))
        return values[:n], nfe


def _dealt(function, batch):
    """(values, evaluations) of function(batch), dealt out to the processes."""

    def of_share(share):
        values, nfe = function(share)
        return {"values": values, "nfe": np.full(len(values), nfe)}

    found = dealt_out(of_share, batch)
    return found["values"], int(found["nfe"].max())


def arrived(values: Any, nfe: Any) -> tuple[np.ndarray, int]:
    """Host copies, the largest nfe. RuntimeError where values are not finite."""
    values = parallel.unshard(values)
    failed = (~np.isfinite(values.reshape(len(values), -1))).any(1).sum()
    if failed:
        raise RuntimeError(
            f"the flow of {failed} of {len(values)} images left the finite numbers, or needed steps without end: see "
            "whether samples of this network are good (--mode=sample); if so, begin later, at a larger "
            "config.training.t_min in this command"
        )
    return values, int(np.asarray(nfe).max())
