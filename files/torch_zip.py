"""Files of torch.save since version 1.6, without torch: a zip archive.

<name>/data.pkl     pickle, protocol 2; see `torch_objects`
<name>/data/<key>   the bytes of a storage, stored uncompressed
"""

from pathlib import Path
from typing import Any

from linnet.files import zip_files
from linnet.files.refused import Refused
from linnet.files.torch_objects import Unpickler, check_memo, check_size, damage_named


def recognises(path: Path) -> bool:
    """Whether the file is a zip archive that torch.save wrote."""
    return any(name.endswith("/data.pkl") for name in zip_files.names(path))


def read(path: Path) -> Any:
    """The object in the file: dicts, lists, numbers, texts and `Tensor`s. Refused for anything else."""
    archive = zip_files.Archive(path)
    pickles = [name for name in archive.names if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Refused(f"{path}: {len(pickles)} descriptions of what is in it")
    folder = pickles[0].removesuffix("/data.pkl")
    data = archive.read(pickles[0])
    if f"{folder}/byteorder" in archive.names and archive.read(f"{folder}/byteorder") != b"little":
        raise Refused(f"{path}: holds numbers in big-endian order")
    check_size(path, len(data))
    with damage_named(path):
        check_memo(data)
        return Unpickler(data, archive, f"{folder}/data/{{}}".format).load()
