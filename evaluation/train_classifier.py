"""Trains the digits classifier that ships with the program: python -m linnet.evaluation.train_classifier

Data: scikit-learn's 1,797 handwritten digits (8x8, grey levels 0..16 scaled to uint8). A fifth is held out
by a seeded permutation; its indices and the accuracy on it are stored with the weights. Takes about ten
seconds on two CPU cores.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from linnet.evaluation import classifier
from linnet.randomness import fold

SEED = 0
EPOCHS = 60
BATCH_SIZE = 64
HELD_OUT_FRACTION = 0.2


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """(images (1797, 8, 8, 1) uint8 = round(grey * 255 / 16), labels (1797,) int)."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install scikit-learn") from error
    digits = datasets.load_digits()
    return np.round(digits.images * 255 / 16).astype(np.uint8)[..., None], digits.target


def train(images: np.ndarray, labels: np.ndarray, seed: int = SEED, epochs: int = EPOCHS):
    """Parameters after `epochs` of AdamW with a cosine schedule."""
    module = classifier.DigitsClassifier()
    steps_per_epoch = len(images) // BATCH_SIZE
    optimizer = optax.adamw(optax.cosine_decay_schedule(3e-3, epochs * steps_per_epoch), weight_decay=1e-3)
    params = module.init(jax.random.key(seed), jnp.zeros((1, 8, 8, 1)))["params"]

    def loss(params, images, labels, key):
        outputs = module.apply({"params": params}, images, train=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels).mean()

    @jax.jit
    def step(params, state, images, labels, key):
        gradients = jax.grad(loss)(params, classifier.preprocess(images), labels, key)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = random.permutation(len(images))
        for i in range(steps_per_epoch):
            chosen = order[i * BATCH_SIZE : (i + 1) * BATCH_SIZE]
            key = fold(jax.random.key(seed + 1), epoch * steps_per_epoch + i)
            params, state = step(params, state, images[chosen], labels[chosen], key)
    return params


def accuracy(params, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of images whose largest logit is the label's."""
    return float((classifier.activations(params, images)["logits"].argmax(axis=1) == labels).mean())


def main() -> None:
    images, labels = load_digits()
    order = np.random.default_rng(SEED).permutation(len(images))
    held_out, training = np.split(order, [int(HELD_OUT_FRACTION * len(images))])
    params = train(images[training], labels[training])
    measured = accuracy(params, images[held_out], labels[held_out])
    metadata = {
        "data": "scikit-learn digits, 8x8 grey, round(v * 255 / 16)",
        "seed": SEED,
        "epochs": EPOCHS,
        "n_training": len(training),
        "held_out": np.sort(held_out).astype(np.int16),
        "held_out_accuracy": measured,
    }
    classifier.save(classifier.ASSET, params, metadata)
    print(f"held-out accuracy {measured:.4f} on {len(held_out)} digits; wrote {classifier.ASSET.name}")


if __name__ == "__main__":
    main()
