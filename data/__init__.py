"""Data sets by name. A new one is a file with a function (config.data, split) -> Source and a line below."""

from linnet.data.digits import digits_source
from linnet.data.folder import folder_source
from linnet.data.names import suggestion
from linnet.data.points import points_source
from linnet.data.source import Source
from linnet.data.splits import WORDS, NoSplit
from linnet.data.tfds import tfds_source

DATASETS = {
    "digits": digits_source,
    "points": points_source,
    "folder": folder_source,
    "tfds": tfds_source,
}


def get_dataset(config, split: str = "train") -> Source:
    """The data set that `config.data` describes.

    config.data: `dataset`, an entry of DATASETS or any TFDS name ("cifar10", "lsun/bedroom"; "tfds/cifar10"
    says so explicitly); `path`; `image_size` (int or (H, W)), `num_channels` and `crop`, each 0 for as the
    data; `points` and `num_points` for points. split: "train", "val" or "test", for which "val" stands in where there
    is none. Raises one-line errors for unknown names and missing data, NoSplit for a split that is not there.
    """
    if split not in WORDS:
        raise ValueError(f"split={split!r} is unknown{suggestion(split, WORDS)}; choose {', '.join(WORDS)}")
    known = DATASETS.get(config.data.dataset.lower())
    return known(config.data, split) if known else tfds_source(config.data, split, others=DATASETS)


__all__ = ["DATASETS", "NoSplit", "Source", "get_dataset"]
