"""Which class each sampled image is asked to be of."""

import jax.numpy as jnp


def make_condition(config):
    """condition(index (B,)) -> keyword arguments of the network for the images of these numbers.

    config.sampling.labels names the classes, "3,5"; "" is all of them in turn. ValueError for labels that the network
    does not know.
    """
    classes = config.model.get("num_classes", 0)
    if not classes:
        if config.sampling.labels:
            raise ValueError("config.sampling.labels needs a class-conditional network: config.model.num_classes")
        return lambda index: {}
    try:
        chosen = [int(text) for text in config.sampling.labels.split(",")] if config.sampling.labels else range(classes)
    except ValueError as error:
        raise ValueError(f"config.sampling.labels={config.sampling.labels!r} must be class numbers like 3,5") from error
    if not all(0 <= label < classes for label in chosen):
        raise ValueError(f"config.sampling.labels={config.sampling.labels!r} must lie in 0 to {classes - 1}")
    table = jnp.array(list(chosen), jnp.int32)
    return lambda index: {"label": table[index % len(table)]}
