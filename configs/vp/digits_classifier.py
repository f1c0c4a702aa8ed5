r"""A classifier of the 8 x 8 digits as VP noises them, which guides networks of configs/vp/digits.py.

python main.py --config=configs/vp/digits_classifier.py --mode=train --workdir=runs/vp_digits_classifier
python main.py --config=configs/vp/digits.py --mode=sample --workdir=runs/vp_digits --config.sampling.labels=3 \
    --config.sampling.classifier=runs/vp_digits_classifier --config.sampling.classifier_scale=2

metrics.jsonl has its accuracy by quarters of the time, accuracy_q0 being that at the least noise.
"""

from linnet.configs.data_sets import digits_classifier
from linnet.configs.default import get_config as default


def get_config():
    return digits_classifier(default("vp", "encoder"))
