r"""A classifier of the 8 x 8 digits as CLD noises them, which guides networks of configs/cld/digits.py.

python main.py --config=configs/cld/digits_classifier.py --mode=train --workdir=runs/cld_digits_classifier
python main.py --config=configs/cld/digits.py --mode=sample --workdir=runs/cld_digits --config.sampling.labels=3 \
    --config.sampling.classifier=runs/cld_digits_classifier --config.sampling.classifier_scale=2

metrics.jsonl has its accuracy by quarters of the time, accuracy_q0 being that at the least noise.
"""

from linnet.configs.data_sets import digits_classifier
from linnet.configs.default import get_config as default


def get_config():
    return digits_classifier(default("cld", "encoder"))
