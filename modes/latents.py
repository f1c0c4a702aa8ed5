"""Images of a split to latents and back along the probability flow, for --mode=encode and interpolate."""

import jax
import jax.numpy as jnp
import numpy as np

from data import pipeline, transforms
from samplers import flow
from samplers.likelihood import complete
from training import parallel


def first_images(experiment, n):
    """The first n examples of config.eval.image_split, (n, ...), as the data set delivers them."""
    source = experiment.dataset(experiment.config.eval.image_split)
    n = min(n, len(source))
    return next(pipeline.one_pass(source, n, num_workers=experiment.config.data.num_workers))["image"]


def flow_begin(experiment):
    """Where the flow of images begins: the smallest time that the network was trained at, and not 0."""
    chain = experiment.eps_net.chain
    return max(experiment.config.training.t_min, experiment.sde.chain_time(0, chain) if chain else 0.0)


def check_unconditional(config):
    """ValueError for networks that are told a class or a small image: these modes have none to give."""
    if config.model.get("num_classes", 0) or config.model.get("super_resolution", False):
        raise ValueError(
            "modes eval, encode and interpolate are for unconditional networks: config.model.num_classes=0 and "
            "config.model.super_resolution=False"
        )


class Latents:
    """encode: images (n, ...) -> latents u_T (n, ..., k*C); decode: latents -> images in the range of the model.

    Images are states at `flow_begin`, and both directions follow the same curves. Components beside x are drawn from
    their law at t = 0, for image i always the same.
    RuntimeError where the flow failed.
    """

    def __init__(self, experiment):
        config, sde, eps_net = experiment.config, experiment.sde, experiment.eps_net
        check_unconditional(config)
        t_min, tolerance, seed = flow_begin(experiment), config.eval.flow_tolerance, config.seed
        self.params = parallel.replicate(experiment.trained)

        def encode(params, images, index):
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), index)
            u, _ = complete(sde, keys, transforms.to_model_range(images, centered=config.data.centered))
            states, nfe = flow.follow(sde, eps_net.bind(params), u, (t_min, sde.T), tolerance, tolerance)
            return states[-1], nfe

        def decode(params, u_T):
            states, nfe = flow.follow(sde, eps_net.bind(params), u_T, (sde.T, t_min), tolerance, tolerance)
            return sde.project(states[-1]), nfe

        self._encode, self._decode = parallel.parallel(encode), parallel.parallel(decode)

    def encode(self, images):
        """(latents, evaluations of the slowest image)."""
        return self._run(self._encode, images, np.arange(len(images), dtype=np.int32))

    def decode(self, u_T):
        """(images in the range of the model, evaluations of the slowest image)."""
        return self._run(self._decode, u_T)

    def _run(self, function, *arrays):
        """`function` of arrays (n, ...), filled up to a multiple of the devices."""
        n, devices = len(arrays[0]), jax.device_count()
        rows = np.arange(-(-n // devices) * devices) % n
        values, nfe = arrived(*function(self.params, *(parallel.shard(a[rows]) for a in arrays)))
        return values[:n], nfe


def arrived(values, nfe):
    """Host copies, the largest nfe. RuntimeError where values are not finite."""
    values = parallel.unshard(values)
    failed = np.isnan(values.reshape(len(values), -1)).any(1).sum()
    if failed:
        raise RuntimeError(
            f"the flow of {failed} of {len(values)} images took too many steps or left the finite numbers: "
            "raise config.eval.flow_tolerance"
        )
    return values, int(np.asarray(nfe).max())


def as_pictures(x, config):
    """x in the range of the model -> uint8 images; points as they are."""
    return transforms.to_uint8(np.asarray(x), config.data.centered) if x.ndim == 4 else x


def slerp(a, b, fraction):
    """Spherical interpolation between standard normal vectors a and b (...), fraction in [0, 1]: the same shape.

    The angle is that between all numbers of a and of b; 0 gives a and 1 gives b.
    """
    cosine = jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    weights = jnp.sin((1 - fraction) * angle), jnp.sin(fraction * angle)
    lines, near = (1 - fraction, fraction), jnp.sin(angle) < 1e-4
    start, end = (jnp.where(near, line, w / jnp.sin(angle)) for w, line in zip(weights, lines, strict=True))
    return start * a + end * b
