"""The tree of PRNG keys: no two purposes share a key, and images of a seed are what they always were."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linnet.randomness import Part, Purpose, fold, key_for, shuffling
from tests.conftest import ROOT

NUMBERS = {
    Purpose.SAMPLING: 1,
    Purpose.INITIALISATION: 0,
    Purpose.ESTIMATES: 1,
    Purpose.TRAINING: 2,
    Purpose.TRAINING_TIMES: 1,
    Purpose.VALIDATION: 2,
    Purpose.VALIDATION_TIMES: 1,
    Purpose.EVALUATION: 1,
    Purpose.EVALUATION_TIMES: 0,
    Purpose.EVALUATION_ORDER: 0,
    Purpose.LIKELIHOOD: 2,
    Purpose.BOUND: 1,
    Purpose.LATENTS: 1,
    Purpose.RECONSTRUCTION: 2,
    Purpose.COMPLETIONS: 2,
    Purpose.MASKS: 1,
    Purpose.EDITING: 1,
    Purpose.TUNING: 1,
}
"""How many numbers lead to an item of a purpose, as its comment says."""

SMALL = 5
SEEDS = [0, 1, 42, 2**31, 2**32 - 1, *(n * 2**32 + 42 for n in range(1, SMALL)), 2**32, 2**63 + 42, 2**64 - 1]
OTHERS = {"tests", "benchmarks", "examples", "docs", "build", ".venv"}
SOURCES = [p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] not in OTHERS and p.name != "randomness.py"]


def data(keys):
    """The 64 bits of each key, one number."""
    words = np.asarray(jax.random.key_data(keys)).reshape(-1, 2).astype(np.uint64)
    return words[:, 0] << np.uint64(32) | words[:, 1]


def keys_of(purpose):
    """All keys of `purpose` under all SEEDS, down to the draws of parts, with small numbers on every level."""
    levels = [jnp.stack([key_for(seed, purpose) for seed in SEEDS])]
    for size in [SMALL] * NUMBERS[purpose] + [len(Part), SMALL]:
        levels.append(fold(levels[-1][..., None], jnp.arange(size)))
    return np.concatenate([data(keys) for keys in levels])


def test_no_two_keys_meet():
    """Of all seeds, purposes, numbers, parts and draws; of 1e9 such sets of random 64-bit numbers one would."""
    found = np.concatenate([keys_of(purpose) for purpose in Purpose])
    assert len(np.unique(found)) == len(found)


def test_purposes_lie_beyond_every_image():
    """One level below the seed, where images are counted: the last image of an int32 index is not a purpose."""
    last = data(key_for(3, Purpose.SAMPLING, 2**31 - 1 - np.arange(100)))
    assert not set(last) & {data(key_for(3, purpose))[0] for purpose in Purpose}


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
def test_images_of_a_seed_are_what_they_were(seed):
    """Image n: the key of the seed folded with n, split in two; draw i: the second one folded with i."""
    for n in (0, 7, 2**31 - 1):
        prior, noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), n))
        image = key_for(seed, Purpose.SAMPLING, n)
        assert data(fold(image, Part.PRIOR)) == data(prior)
        assert data(fold(image, Part.NOISE, 3)) == data(jax.random.fold_in(noise, 3))


def test_numbers_and_keys_broadcast():
    keys = key_for(1, Purpose.TRAINING, 3, jnp.arange(4))
    one = key_for(1, Purpose.TRAINING, 3, 2)
    assert keys.shape == (4,) and data(keys)[2] == data(one)[0]
    assert data(fold(keys, Part.NOISE))[2] == data(jax.random.fold_in(one, int(Part.NOISE)))[0]


@pytest.mark.parametrize("purpose", list(Purpose), ids=lambda purpose: purpose.name)
def test_each_purpose_has_one_user(purpose):
    """Two files that draw for one purpose would draw the same numbers."""
    users = [path for path in SOURCES if re.search(rf"Purpose\.{purpose.name}\b", path.read_text())]
    assert len(users) == 1, users


def test_keys_are_derived_in_one_place():
    """The digits' classifier is a program with a seed of its own."""
    words = re.compile(r"fold_in|wrap_key_data|PRNGKey|random\.key\([^)]*seed")
    users = [path for path in SOURCES if words.search(path.read_text())]
    assert users == [ROOT / "evaluation" / "train_classifier.py"]


@pytest.mark.parametrize("seed, epoch", [(0, 0), (5, 3), (2**32 - 1, 1)])
def test_the_order_of_examples_is_what_it_was(seed, epoch):
    words = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(9)
    np.testing.assert_array_equal(shuffling(seed, epoch).random_raw(9), words)


def test_orders_of_examples_do_not_meet():
    """SeedSequence([2^32 e + s, 0]) would be that of epoch e of seed s."""
    orders = {tuple(shuffling(seed, epoch).random_raw(2)) for seed in SEEDS for epoch in range(SMALL)}
    assert len(orders) == len(SEEDS) * SMALL
    with pytest.raises(ValueError, match="config.seed=-1 must lie in 0 to 2"):
        shuffling(-1, 0)
