"""Image i is 6 x 8 RGB, all of value 10 i, with label i mod 3; 10 for training and 4 for validation."""

import tensorflow_datasets as tfds
from PIL import Image


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS finds a builder by the name of its folder; it has to be in a package, not in a script."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(num_classes=3),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(10)), "validation": self._generate_examples(range(10, 14))}

    def _generate_examples(self, numbers):
        for i in numbers:
            yield i, {"image": Image.new("RGB", (8, 6), (10 * i,) * 3), "label": i % 3}
