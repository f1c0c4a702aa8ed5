"""What a verb finds batch by batch, kept in files until all is there: a run that ended goes on after them.

parts/made_by.json    what decides the numbers; parts that something else made are removed
parts/<k>.npz         what was found of batch k, by the process that it was dealt to
"""

import json
import os
import shutil
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data.source import Source
from linnet.devices import processes
from linnet.engine.trained import Trained
from linnet.files.atomic import atomic_write
from linnet.files.json_files import read_json, write_json
from linnet.files.npz import open_npz


def decisive(config: ConfigDict, trained: Trained, source: Source, total: int, size: int) -> dict[str, Any]:
    """What the numbers of `total` images of a source in batches of `size` depend on."""
    return json.loads(
        json.dumps(
            {
                "config": config.to_dict(),
                "parameters": trained.hash,
                "images": source.fingerprint(),
                "total": total,
                "size": size,
            }
        )
    )


class Parts:
    """Parts 0 .. number - 1, in `folder`. mine: the numbers of those that this process has to find.

    made_by: {name: what JSON can say}. ValueError where it differs between the processes.
    """

    def __init__(self, folder, made_by, number):
        processes.check_same("their config, data or checkpoint", made_by)
        self.folder = os.path.join(folder, "parts")
        self.number = number
        if processes.is_first():
            self._claim(made_by)
        missing = [k for k in range(number) if not os.path.exists(self._path(k))]
        self.mine = processes.dealt(processes.agreed(missing))
        if processes.is_first() and len(missing) < number:
            print(f"{number - len(missing)} of {number} parts are in {self.folder}: going on after them", flush=True)

    def _claim(self, made_by):
        record = os.path.join(self.folder, "made_by.json")
        if os.path.exists(record) and read_json(record, f"delete {self.folder}") == made_by:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        write_json(record, made_by)

    def _path(self, k):
        return os.path.join(self.folder, f"{k:05d}.npz")

    def save(self, k: int, arrays: dict[str, Any]) -> None:
        """Keeps part k: {name: array}. RuntimeError, and nothing is kept, where a number in it is not finite."""
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise RuntimeError(
                    f"{name} of part {k} holds numbers that are not finite, and is not kept: see whether samples of "
                    "this checkpoint are good (--mode=sample)"
                )
        with atomic_write(self._path(k)) as file:
            np.savez(file, **arrays)

    def join(self) -> dict[str, list[np.ndarray]]:
        """{name: [array of part 0, of part 1, ...]} once all processes have saved theirs; {} in all but the first."""
        processes.wait()
        found: dict[str, list[np.ndarray]] = {}
        for k in range(self.number) if processes.is_first() else ():
            with open_npz(self._path(k)) as arrays:
                for name in arrays:
                    found.setdefault(name, []).append(arrays[name])
        return found

    def remove(self) -> None:
        """When all is written elsewhere."""
        shutil.rmtree(self.folder)
