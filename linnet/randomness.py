"""Every random number that follows from config.seed: the tree of PRNG keys, and what each key is for.

    seed s                        the pair (s // 2^32, s mod 2^32), which is jax.random.key(s) below 2^32
    |- n < 2^31                   Purpose.SAMPLING: image n of the seed
    |  `- part                    Part.PRIOR, Part.NOISE
    |     `- i                    the sampler's draw i
    `- 2^31 + purpose             every other Purpose
       `- number, ...             counted things: those that the purpose names
          `- part                 one of Part
             `- i or layer        steps of the chain, layers with dropout

A child is `fold(key, number)`. For one key fold_in is a bijection from numbers to keys (Threefry is a block cipher of
the number; Salmon et al. 2011), so that children of one key never meet, and keys of different parents meet as random
numbers of 64 bits do. No generator has a state: a key depends neither on batch sizes nor on devices, and a resumed run
draws what it would have drawn. The order of training examples comes from NumPy in the same way, see `shuffling`.
"""

import enum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

HALF = 2**32
COUNTED = 2**31
"""Images of a seed have the numbers below, purposes lie above."""


class Purpose(enum.IntEnum):
    """What a key below the seed is for; in brackets the numbers that lead to one item of it."""

    SAMPLING = 0  # (image): Part.PRIOR and NOISE
    INITIALISATION = 1  # (): of a network; Flax goes on by the names of modules
    ESTIMATES = 2  # (example): DDDM's first estimate
    TRAINING = 3  # (step, position in the global batch)
    TRAINING_TIMES = 4  # (step): one shift of the times of a batch
    VALIDATION = 5  # (step, position): eval_loss
    VALIDATION_TIMES = 6  # (step)
    EVALUATION = 7  # (image): the loss by time of --mode=eval
    EVALUATION_TIMES = 8  # ()
    EVALUATION_ORDER = 9  # (): which image gets which time
    LIKELIHOOD = 10  # (repeat, image): Part.DEQUANTISATION, VELOCITY and PROBE
    BOUND = 11  # (image): its states on the chain
    LATENTS = 12  # (image): Part.VELOCITY of encoded images
    TUNING = 20  # (start): Part.PRIOR of the starts of --mode=tune
    RECONSTRUCTION = 13  # (level, image): Part.PRIOR, the noise that it is lost in, and NOISE
    COMPLETIONS = 14  # (image, completion): Part.PRIOR and NOISE
    MASKS = 15  # (image): pixels that are hidden
    EDITING = 16  # (image): Part.PRIOR, the noise that it is lost in, and NOISE


class Part(enum.IntEnum):
    """What the key of one item is split into."""

    PRIOR = 0  # the state at time T
    NOISE = 1  # of a perturbed state; of the steps of a sampler
    DROPOUT = 2
    FLIP = 3
    DEQUANTISATION = 4
    LABEL = 5  # whether the class is dropped
    SHARE = 6  # how much noise DDDM's network sees in the estimate
    CONTEXT = 7  # this noise
    VELOCITY = 8  # components added beside x
    PROBE = 9  # of the trace of a Jacobian


def key_for(seed: int, purpose: Purpose, *numbers: Any) -> jax.Array:
    """Keys of the items of `purpose` with these numbers, integers or arrays: their shape, broadcast.

    ValueError for a seed that is not in [0, 2^64).
    """
    lower, upper = halves(seed)
    root = jax.random.wrap_key_data(jnp.asarray(np.array([upper, lower], np.uint32)), impl="threefry2x32")
    return fold(root if purpose == Purpose.SAMPLING else fold(root, COUNTED + purpose), *numbers)


def fold(key: jax.Array, *numbers: Any) -> jax.Array:
    """The keys below `key` at numbers in [0, 2^32), one level each: key and numbers broadcast."""
    for number in numbers:
        number = jnp.asarray(number, jnp.uint32)
        key = jnp.vectorize(jax.random.fold_in)(key, number)
    return key


def shuffling(seed: int, epoch: int) -> np.random.Philox:
    """NumPy's generator of the order of training examples in an epoch. ValueError as in `key_for`.

    Seeds below 2^32 are SeedSequence([seed, epoch]), to which zeros add nothing.
    """
    lower, upper = halves(seed)
    return np.random.Philox(np.random.SeedSequence([lower, epoch, upper]))


def halves(seed: int) -> tuple[int, int]:
    """(seed mod 2^32, seed // 2^32). ValueError for a seed that has more."""
    if not 0 <= seed < HALF**2:
        raise ValueError(f"config.seed={seed} must lie in 0 to 2^64 - 1")
    return seed % HALF, seed // HALF
