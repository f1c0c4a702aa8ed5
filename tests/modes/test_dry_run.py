"""What --dry_run finds wrong before the work."""

import pytest

from configs.toy.rings_vp import get_config
from engine.experiment import Experiment
from modes import dry_run


def test_a_sampler_that_cannot_be_built_is_an_error(capsys):
    config = get_config()
    config.model.update(nf=8, num_res_blocks=1)
    config.sampling.update(method="ddim", nfe=7)
    dry_run.run(Experiment(config))
    assert "sampling: ddim, 7 evaluations an image" in capsys.readouterr().out
    config.sampling.update(method="gddim", times=(1.0, 2.0, 1e-3))
    with pytest.raises(ValueError, match="must decrease"):
        dry_run.run(Experiment(config))
