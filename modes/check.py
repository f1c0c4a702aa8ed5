"""--mode=check: samples from a checkpoint, then the distance to the data, in one command."""

from modes import fid, sample


def run(experiment):
    """sample, then fid, with everything that made the images in the report."""
    fid.run(experiment, sample.run(experiment))
