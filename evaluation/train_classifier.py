"""Trains the classifiers that ship with the program:

    python -m linnet.evaluation.train_classifier digits
    python -m linnet.evaluation.train_classifier mnist mnist-train.zip

digits: scikit-learn's 1,797 handwritten digits (8x8, grey levels 0..16 scaled to uint8), ten seconds on two CPU cores.
A fifth is held out by a seeded permutation that is older than the data set's own split: the classifier has seen 249 of
the 297 test images. mnist: the training images of the given zip or folder (mnist-test.zip or the like beside it), or of
the published files where no path is given; a quarter of an hour. What was held out, and the accuracy on it,
is stored with the weights.
"""

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from linnet.data import Source, get_dataset, pipeline
from linnet.evaluation import classifier
from linnet.randomness import fold

SEED = 0
HELD_OUT_FRACTION = 0.2


class Recipe(NamedTuple):
    """AdamW with a cosine schedule; images are moved by up to `shift` pixels, black outside."""

    epochs: int
    batch_size: int
    shift: int


RECIPES = {"digits": Recipe(60, 64, 0), "mnist": Recipe(12, 128, 2)}


class Labelled(NamedTuple):
    """images (N, S, S, 1) uint8, labels (N,) int."""

    images: np.ndarray
    labels: np.ndarray


def load_digits() -> Labelled:
    """All 1,797, round(grey * 255 / 16)."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install scikit-learn") from error
    digits = datasets.load_digits()
    return Labelled(np.round(digits.images * 255 / 16).astype(np.uint8)[..., None], digits.target)


def digits() -> tuple[Labelled, Labelled, dict[str, object]]:
    """(training, held out, what to note of them)."""
    images, labels = load_digits()
    order = np.random.default_rng(SEED).permutation(len(images))
    held_out, training = np.split(order, [int(HELD_OUT_FRACTION * len(images))])
    notes: dict[str, object] = {
        "data": "scikit-learn digits, 8x8 grey, round(v * 255 / 16)",
        "held_out": np.sort(held_out).astype(np.int16),
    }
    return Labelled(images[training], labels[training]), Labelled(images[held_out], labels[held_out]), notes


def mnist(path: str = "") -> tuple[Labelled, Labelled, dict[str, object]]:
    """The same of MNIST; path: of a zip or folder of images with labels, "" for the published files."""
    dataset = "folder" if path else "mnist"
    data = {"dataset": dataset, "path": path, "image_size": 28, "num_channels": 1, "crop": 0}
    config = ml_collections.ConfigDict({"data": data})
    training, held_out = (read(get_dataset(config, split)) for split in ("train", "test"))
    return training, held_out, {"data": "MNIST, its training images; held out are its test images"}


def read(source: Source) -> Labelled:
    """All images of a source, and their labels."""
    batches = list(pipeline.one_pass(source, 1000))
    return Labelled(*(np.concatenate([batch[key] for batch in batches]) for key in ("image", "label")))


def shifted(images: jax.Array, key: jax.Array, most: int) -> jax.Array:
    """Each image (S, S, 1) moved by -most..most pixels both ways, zeros outside."""
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * most + 1)
    return jax.vmap(lambda x, c: jax.lax.dynamic_slice(x, (c[0], c[1], 0), images.shape[1:]))(padded, corners)


def train(shipped: classifier.Shipped, data: Labelled, recipe: Recipe, seed: int = SEED) -> dict[str, Any]:
    """Parameters after `recipe.epochs`."""
    images, labels = data
    module = classifier.Classifier(shipped.widths)
    steps_per_epoch = len(images) // recipe.batch_size
    schedule = optax.cosine_decay_schedule(3e-3, recipe.epochs * steps_per_epoch)
    optimizer = optax.adamw(schedule, weight_decay=1e-3)
    params = module.init(jax.random.key(seed), jnp.zeros((1, shipped.size, shipped.size, 1)))["params"]

    def loss(params, images, labels, key):
        outputs = module.apply({"params": params}, images, train=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels).mean()

    @jax.jit
    def step(params, state, images, labels, key):
        images = shifted(images, fold(key, 1), recipe.shift) if recipe.shift else images
        gradients = jax.grad(loss)(params, classifier.preprocess(images), labels, key)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    random = np.random.default_rng(seed)
    for epoch in range(recipe.epochs):
        order = random.permutation(len(images))
        for i in range(steps_per_epoch):
            chosen = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            key = fold(jax.random.key(seed + 1), epoch * steps_per_epoch + i)
            params, state = step(params, state, images[chosen], labels[chosen], key)
        print(f"epoch {epoch + 1}/{recipe.epochs}", flush=True)
    return params


def accuracy(shipped: classifier.Shipped, params: Any, data: Labelled) -> float:
    """Fraction of images whose largest logit is the label's."""
    return float((classifier.activations(shipped, params, data.images)["logits"].argmax(axis=1) == data.labels).mean())


def main(name: str = "digits", *path: str) -> None:
    """Trains the classifier of the data set `name`, prints how good it is and writes it into assets/."""
    shipped = {"digits": classifier.DIGITS, "mnist": classifier.MNIST}[name]
    training, held_out, notes = {"digits": digits, "mnist": mnist}[name](*path)
    recipe = RECIPES[name]
    params = train(shipped, training, recipe)
    measured = accuracy(shipped, params, held_out)
    notes |= {"seed": SEED, "epochs": recipe.epochs, "n_training": len(training.images), "held_out_accuracy": measured}
    classifier.save(shipped.asset, params, notes)
    print(f"held-out accuracy {measured:.4f} on {len(held_out.images)} images; wrote {shipped.asset.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
