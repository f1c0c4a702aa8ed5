"""gDDIM's name for configs/cld/cifar10_accelerated.py."""

from linnet.configs.cld.cifar10_accelerated import get_config as get_config
