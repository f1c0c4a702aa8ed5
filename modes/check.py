"""--mode=check: samples from a checkpoint, then the distance to the data, in one command."""

from modes import fid, fid_stats, sample


def run(experiment):
    """sample, then fid, with everything that made the images in the report."""
    extractor = fid_stats.load_extractor(experiment.config)  # what it lacks is said before the images are made
    fid.run(experiment, sample.run(experiment), extractor)
