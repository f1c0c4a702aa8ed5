"""--mode=report: one file that needs nothing else, with what the files of a workdir say."""

import base64
import html.parser
import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from configs.cld.digits import get_config
from engine.experiment import Experiment
from evaluation import history, page
from modes import report

HOSTILE = "<script>alert('&')</script>"


class Reader(html.parser.HTMLParser):
    """Tags with their attributes, the text, and the order in which tags close."""

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def workdir(tmp_path):
    """A run with curves, three grids, two checks, an evaluation, outliers and edited images."""
    folder = tmp_path / HOSTILE.replace("/", "")
    (folder / "samples").mkdir(parents=True)
    records = [{"step": s, "loss": 1 / s, "loss_q0": 2 / s, "images_per_s": 10.0} for s in range(1, 30)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, [*records, {"step": 29, "frechet_n64": 3.5}])))
    for step in (10, 20, 30):
        Image.fromarray(np.full((4, 4), step, np.uint8)).save(folder / "samples" / f"step_{step:08d}_ema.png")
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "samples" / f"step_{step:08d}_raw.png")
    for nfe, distance in ((20, 4.25), (5, 9.5)):
        check = folder / "check" / "30" / f"gddim_{nfe}"
        check.mkdir(parents=True)
        fields = {
            "checkpoint": "30",
            "nfe": nfe,
            "sampling": {"method": HOSTILE},
            "sde": {"name": "cld"},
            "params": "ema",
        }
        (check / "report.json").write_text(json.dumps({"metrics": {"frechet_n100": distance}, **fields}))
    (folder / "eval" / "30").mkdir(parents=True)
    (folder / "eval" / "30" / "eval.json").write_text(json.dumps({"bits_per_dim": 3.125, "n": 7, "checkpoint": "30"}))
    (folder / "ood" / "30").mkdir(parents=True)
    (folder / "edit" / "30").mkdir(parents=True)
    Image.fromarray(np.full((4, 4), 40, np.uint8)).save(folder / "edit" / "30" / "edit.png")
    scores = {"l2": {"auroc": 0.875, "aupr": 0.75, "fpr95": 0.5}}
    (folder / "ood" / "30" / "ood.json").write_text(json.dumps({"scores": scores}))
    return folder


def read(workdir, **kwargs):
    config = get_config()
    config.training.n_iters = 77
    report.run(Experiment(config, workdir=str(workdir), **kwargs))
    reader = Reader()
    reader.feed((workdir / "report.html").read_text())
    return reader


def test_the_page_says_what_the_files_say(workdir):
    found = read(workdir)
    assert not found.open  # every tag is closed, in order
    for text in ("4.25", "9.5", "3.125", "0.875", "training.n_iters", "77", "--mode=check", "29 of 77 steps"):
        assert text in found.text, text
    assert found.text.index("9.5") < found.text.index("4.25")  # 5 evaluations before 20
    assert found.text.count(HOSTILE) >= 2  # as text, of the folder and of the sampler


def test_it_needs_nothing_beside_it(workdir):
    found = read(workdir)
    for _, attributes in found.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert [tag for tag, _ in found.tags].count("script") == 1
    pictures = [attributes["src"].partition(",")[2] for tag, attributes in found.tags if tag == "img"]
    opened = [Image.open(io.BytesIO(base64.b64decode(data))) for data in pictures]
    assert [np.asarray(image)[0, 0] for image in opened if image.size == (4, 4)] == [10, 20, 30, 40]  # averaged, edited
    ((_, slider),) = [(tag, attributes) for tag, attributes in found.tags if tag == "input"]
    assert slider["max"] == slider["value"] == "2"


def test_an_empty_workdir_has_a_page_too(tmp_path):
    found = read(tmp_path)
    assert "0 of 77 steps" in found.text and "Distances" not in found.text


def test_a_damaged_line_is_named(workdir):
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('\n{"step": 3')
    with pytest.raises(ValueError, match="metrics.jsonl, line 31 is damaged"):
        read(workdir)


def test_series_are_of_the_records_that_have_them():
    records = [{"step": 1, "a": 2.0}, {"step": 2}, {"step": 3, "a": float("nan")}, {"step": 4, "a": 1}]
    np.testing.assert_array_equal(history.series(records, "a"), [[1, 2], [4, 1]])
    assert history.curves(records, {"b": ("b",)}) == b""


def test_numbers_in_cells():
    assert page.cell(0.123456) == '<td class="number">0.1235</td>' and page.cell(True) == "<td>True</td>"
    assert page.table([]) == "" and page.table([{"a": 1}, {"b": 2}]).count("<th>") == 2


def test_a_browser_shows_it(workdir, tmp_path):
    """On the screen of a phone nothing but tables and code is wider than the page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("needs Chromium")
    read(workdir)
    shot = tmp_path / "shot.png"
    command = [browser, "--headless", "--no-sandbox", "--window-size=390,844", f"--screenshot={shot}"]
    subprocess.run([*command, (workdir / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    assert len(np.unique(np.asarray(Image.open(shot).convert("L")))) > 10
