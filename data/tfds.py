"""Any image data set of TensorFlow Datasets, read at random from ArrayRecord files, without TensorFlow.

`data.dataset` is the TFDS name, with a configuration after a slash where there is one (`lsun/bedroom`), in
any case; `data.path` the folder of prepared data (data_dir; empty: TFDS's default). Data that is not prepared
yet is downloaded and prepared by TFDS, for which some of its data sets (cifar10, mnist, svhn_cropped, lsun)
need TensorFlow that one time. Splits are chosen as those of folders are (data/splits.py).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from linnet import registry
from linnet.data.image_rule import IMAGES, ImageRule, rule_for
from linnet.data.source import Source, decode_threads
from linnet.data.splits import pick


class TfdsSource(Source):
    """Examples of a TFDS data source, prepared by `rule`; prepared: name, version and split of what TFDS prepared."""

    def __init__(
        self, examples, name: str, split: str, classes: tuple[str, ...], rule: ImageRule, threads: int, prepared: str
    ):
        super().__init__(
            name, split, len(examples), rule.shape, len(classes), decode_threads=threads, class_names=classes
        )
        self._examples = examples
        self._rule = rule
        self._prepared = prepared

    def read(self, index: int) -> tuple[np.ndarray, int]:
        example = self._examples[index]
        label = int(example["label"]) if self.num_classes else 0
        return self._rule(as_picture(example["image"])), label

    def content(self) -> Iterator[bytes]:
        yield f"{self._prepared} {self._rule}".encode()


@registry.takes("path", *IMAGES)
def tfds_source(settings: ConfigDict, split: str, others: Iterable[str] = ()) -> TfdsSource:
    """The TFDS data set `data.dataset`. ImportError without the package; ValueError for an unknown name or split.

    others: names of our own data sets, for the suggestions of these errors.
    """
    builder = find_builder(settings, others)
    prepare(builder)
    splits = list(builder.info.splits)
    chosen = pick(splits, split, f"data.dataset={settings.dataset!r}") if splits else split
    examples = builder.as_data_source(split=chosen)
    features = dict(builder.info.features.items())
    if "image" not in features:
        raise ValueError(f"data.dataset={settings.dataset!r} has no feature 'image'; it has {', '.join(features)}")
    label = features.get("label")
    names = tuple(map(str, getattr(label, "names", None) or range(getattr(label, "num_classes", 0) or 0)))
    picture = as_picture(examples[0]["image"])
    threads = decode_threads(picture.width * picture.height)
    prepared = f"{builder.info.full_name} {chosen}"
    return TfdsSource(examples, settings.dataset.lower(), split, names, rule_for(settings, picture), threads, prepared)


def find_builder(settings: ConfigDict, others: Iterable[str]) -> Any:
    """The TFDS builder of `data.dataset`, which writes and reads ArrayRecord files."""
    unknown = f"data.dataset={settings.dataset!r} is unknown"
    base, slash, configuration = settings.dataset.removeprefix("tfds/").partition("/")
    base = base.lower()
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            f"data.dataset={settings.dataset!r}{registry.suggestion(base, others)} needs the package "
            "tensorflow-datasets: pip install tensorflow-datasets"
        ) from error
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    if base not in known:
        raise ValueError(
            f"{unknown}{registry.suggestion(base, [*others, *known])}; choose {', '.join(others)} or a name "
            "that TensorFlow Datasets lists, such as cifar10"
        )
    configurations = tensorflow_datasets.builder_cls(base).builder_configs
    if configuration and configuration.partition(":")[0] not in configurations:
        near = registry.suggestion(configuration, configurations)
        raise ValueError(f"{unknown}: {base} has no {configuration!r}{near}")
    return tensorflow_datasets.builder(
        base + slash + configuration, data_dir=settings.get("path", "") or None, file_format="array_record"
    )


def is_prepared(settings: ConfigDict) -> bool:
    """Whether the folder of prepared data has one of the data set `data.dataset`."""
    folder = settings.get("path", "") or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return (Path(folder).expanduser() / settings.dataset.lower()).is_dir()


def prepare(builder: Any) -> None:
    """Download and convert what is not there yet; one line says what to do if that fails."""
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = " ".join(str(error).split())[-200:]
        cure = "prepare it where there is a network and set data.path to that data_dir"
        if "No module named 'tensorflow'" in str(error):
            reason = "TFDS needs TensorFlow to prepare it, though not to read it"
            cure = (
                f"once, in any environment with tensorflow, run: tfds build {builder.name} --file_format="
                "array_record --data_dir=DIR; then set data.path=DIR, or use data.dataset=folder with a zip"
            )
        raise RuntimeError(f"{builder.name} could not be prepared in {builder.data_dir} ({reason}); {cure}") from error


def as_picture(image: np.ndarray) -> Image.Image:
    """uint8 (H, W, C) -> Pillow image; a single channel is grey."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
