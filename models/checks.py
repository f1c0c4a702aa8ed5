"""Refusals of the networks: unknown option values, and images that do not fit the strides."""

import jax


def check_images(network: str, x: jax.Array, labels: jax.Array, levels: int) -> None:
    """Raise ValueError unless x is (B, H, W, C), H and W are multiples of 2^(levels-1), and labels (B,)."""
    if x.ndim != 4:
        raise ValueError(f"{network}: expects images of shape (B, H, W, C), got {x.shape}")
    check_labels(network, x, labels)
    multiple = 2 ** (levels - 1)
    height, width = x.shape[1:3]
    if height % multiple or width % multiple:
        raise ValueError(
            f"{network}: image size {height}x{width} must be a multiple of {multiple} in both "
            f"directions (ch_mult has {levels} levels); resize or crop the images, "
            "or shorten ch_mult"
        )


def check_labels(network: str, x: jax.Array, labels: jax.Array) -> None:
    """Raise ValueError unless there is one time label per example."""
    if labels.shape != x.shape[:1]:
        raise ValueError(f"{network}: expects one time label per example, shape {x.shape[:1]}, got {labels.shape}")


def present(network: str, name: str, value: jax.Array | None, x: jax.Array, initializing: bool) -> jax.Array:
    """The condition `value`; x in its place when parameters are made without one. ValueError where it is missing."""
    if value is None and not initializing:
        raise ValueError(f"{network}: {name} is missing: this network is conditioned on an image")
    return x if value is None else value
