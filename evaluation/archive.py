"""One .npz of all samples as the evaluation of ADM expects it: arr_0 uint8 (N, H, W, C), arr_1 int64 classes (N,).

The file is what numpy.savez writes, member by member, so that only one batch is held in memory.
See https://github.com/openai/guided-diffusion/tree/main/evaluations.
"""

import os
import zipfile
from collections.abc import Iterable

import numpy as np

from linnet.files.atomic import atomic_write


def write_archive(
    path: str | os.PathLike, batches: Iterable[np.ndarray], shape: tuple[int, ...], classes: np.ndarray | None = None
) -> None:
    """Writes `batches` of uint8 images as one array of `shape` (N, H, W, C). ValueError if they do not make it up."""
    header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            written = 0
            for batch in batches:
                if batch.dtype != np.uint8 or batch.shape[1:] != tuple(shape)[1:]:
                    raise ValueError(f"{path}: a batch is {batch.dtype} {batch.shape}, expected uint8 {shape[1:]}")
                member.write(batch.tobytes())
                written += len(batch)
        if written != shape[0]:
            raise ValueError(f"{path}: {written} images of {shape[0]}")
        if classes is not None:
            with archive.open("arr_1.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(classes, np.int64))
