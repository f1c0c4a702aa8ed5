"""--mode=compare: the reports of several runs as one table and one picture."""

import os

from linnet.engine.compared import Table, read
from linnet.engine.experiment import Experiment
from linnet.evaluation.panels import panels
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import write_json


def run(experiment: Experiment) -> None:
    """Prints the table; writes compare.csv, compare.json and compare.png into --result_folder.

    ValueError where config.compare.runs or the folder is missing; else as engine.compared.read.
    """
    runs = experiment.config.compare.runs
    folder = experiment.paths.result_folder
    if not runs:
        raise ValueError("config.compare.runs is missing: workdirs or report.json files, as runs/a,runs/b")
    if folder is None:
        raise ValueError("--result_folder is missing: the folder of the table and the picture")
    table = Table(read(runs))
    path = os.path.join(folder, "compare")
    check_writable(f"{path}.csv")
    write_json(f"{path}.json", {"protocols": table.protocols, "rows": table.rows})
    written = {"csv": table.csv().encode(), "png": panels(table.lines(), "network evaluations", log_x=True)}
    for kind, content in written.items():
        if content:
            with atomic_write(f"{path}.{kind}") as file:
                file.write(content)
    print(table.text())
    print(f"everything in {folder}")
