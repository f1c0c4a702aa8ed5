"""The 1,797 real handwritten digits of 8 x 8 pixels that come with scikit-learn: the embedded data set.

Stored values v = 0..16 become round(255 v / 16), ties to even. The split is fixed: 297 held-out "test"
images, stratified by class, and 1,500 "train" images. Source: Alpaydin and Kaynak, Optical Recognition of
Handwritten Digits, UCI, 1998.
"""

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from linnet import registry
from linnet.data.image_rule import IMAGES, rule_for
from linnet.data.source import ArraySource
from linnet.data.splits import pick

TEST_IMAGES = 297
SPLIT_SEED = 1797


@registry.takes(*IMAGES)
def digits_source(settings: ConfigDict, split: str) -> ArraySource:
    """scikit-learn's digits by the image rule (default 8 x 8, grey). ImportError without sklearn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("data.dataset=digits needs the package scikit-learn: pip install scikit-learn") from error
    bunch = load_digits()
    splits = split_indices(bunch.target)
    chosen = splits[pick(splits, split, "data.dataset=digits")]
    pictures = [Image.fromarray(v) for v in np.rint(bunch.images[chosen] * (255 / 16)).astype(np.uint8)]
    rule = rule_for(settings, pictures[0])
    return ArraySource("digits", split, np.stack([rule(p) for p in pictures]), bunch.target[chosen], 10)


def split_indices(labels: np.ndarray) -> dict[str, np.ndarray]:
    """{"train", "test"} -> sorted indices; every class has its share of the test images, to within one.

    The images are ordered by class, at random within a class; 297 equally spaced places of that order are
    held out.
    """
    key = np.random.Philox(np.random.SeedSequence(SPLIT_SEED)).random_raw(len(labels))
    order = np.lexsort((key, labels))
    places = (2 * np.arange(TEST_IMAGES) + 1) * len(labels) // (2 * TEST_IMAGES)
    return {"train": np.sort(np.delete(order, places)), "test": np.sort(order[places])}
