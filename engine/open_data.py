"""A split of a data set, downloaded where it is published and not there yet."""

from ml_collections import ConfigDict

from linnet.data import get_dataset, missing_files
from linnet.data.source import Source
from linnet.files.published import Download, download


def open_split(config: ConfigDict, split: str) -> Source:
    """The Source of config.data; what there is to say about it is printed. Errors as `get_dataset` and `download`."""
    for archive, path in missing_files(config, split):
        print(f"downloading {archive.name} to {path}", flush=True)
        download(Download(*archive[:3]), path, f"place the file at {path}")
    source = get_dataset(config, split)
    for note in source.notes:
        print(f"{source.name} ({split}): {note}", flush=True)
    return source
