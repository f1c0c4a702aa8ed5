"""The report of an evaluation: every number with what is needed to reproduce or to doubt it.

Naming rule: a metric on fewer than 50,000 samples carries n in its key ("frechet_n1797"), because Fréchet
distances and the Inception score depend on n. Only distances between Inception features are called "fid",
and only Inception logits give an "inception_score"; between features of VGG16 they are "fd_vgg", and other extractors
give "frechet" and "classifier_score".
"""

import os
from collections.abc import Mapping

from linnet.evaluation.collect import Collected
from linnet.evaluation.features import Extractor
from linnet.evaluation.frechet import frechet_distance
from linnet.evaluation.inception_score import inception_score
from linnet.evaluation.kid import kid
from linnet.evaluation.precision_recall import precision_recall
from linnet.evaluation.statistics import Statistics, check_compatible
from linnet.files.json_files import write_json

PAPER_N = 50_000
KID_SUBSET_SIZE = 1000
SCORE_SPLITS = 10
FRECHET = {"inception": "fid", "vgg": "fd_vgg"}
SCORE = {"inception": "inception_score"}


def metric_key(name: str, n: int) -> str:
    """`name` for n >= 50,000 samples, else `name` with _n<n> behind it."""
    return name if n >= PAPER_N else f"{name}_n{n}"


def compute_metrics(
    samples: Collected, reference: Statistics, extractor: Extractor, with_precision_recall: bool = False
) -> dict[str, float]:
    """Fréchet distance; KID if the reference holds features; the score if the extractor gives logits."""
    n = samples.gaussian.n
    named_score = SCORE.get(extractor.name, "classifier_score")
    _, mu, sigma = samples.gaussian
    metrics = {FRECHET.get(extractor.name, "frechet"): frechet_distance(mu, sigma, reference.mu, reference.sigma)}
    if reference.features is not None:
        subset_size = min(KID_SUBSET_SIZE, len(samples.features), len(reference.features))
        distance = kid(samples.features, reference.features, subset_size=subset_size)
        metrics |= {"kid": distance.mean, "kid_std": distance.std}
    if samples.logits is not None and len(samples.logits) >= SCORE_SPLITS:
        score = inception_score(samples.logits, SCORE_SPLITS)
        metrics |= {named_score: score.mean, f"{named_score}_std": score.std}
    if with_precision_recall:
        if reference.features is None:
            raise ValueError("precision and its kin need reference features: rebuild with --mode=fid_stats")
        found = precision_recall(samples.features, reference.features)
        metrics |= {key: value for key, value in found._asdict().items() if key != "f_score"}
    return {metric_key(name, n): float(value) for name, value in metrics.items()}


def build_report(
    samples: Collected,
    reference: Statistics,
    extractor: Extractor,
    fields: Mapping[str, object],
    with_precision_recall: bool = False,
) -> dict:
    """Metrics, n, extractor, reference, warning, and the caller's `fields` (nfe, seed, ema_rate, ...).

    Refuses statistics of another extractor (`check_compatible`) and fields that would hide a computed entry.
    """
    status = check_compatible(reference, extractor)
    n = samples.gaussian.n
    report = {
        "metrics": compute_metrics(samples, reference, extractor, with_precision_recall),
        "n": n,
        "extractor": {
            "name": extractor.name,
            "hash": extractor.hash,
            "preprocessing": extractor.preprocessing,
        },
        "reference": {
            "source": reference.source,
            "dataset": reference.dataset,
            "split": reference.split,
            "image_rule": reference.image_rule,
            "fingerprint": reference.fingerprint,
            "n": reference.n,
            "extractor": status,
        },
        "warning": comparability_warning(n),
    }
    hidden = sorted(report.keys() & fields.keys())
    if hidden:
        raise ValueError(f"report fields {', '.join(hidden)} are computed here: leave them out")
    return report | dict(fields)


def comparability_warning(n: int) -> str:
    """Empty for n >= 50,000."""
    return "" if n >= PAPER_N else f"n={n} < {PAPER_N}: not comparable with numbers in papers"


def summary(report: Mapping) -> str:
    """One line: the metrics, the plain fields of the caller, protocol, n, source of the reference, the warning."""
    computed = ("metrics", "n", "extractor", "reference", "warning")
    metrics = " ".join(f"{name}={value:.4g}" for name, value in report["metrics"].items())
    plain = {key: value for key, value in report.items() if key not in computed and _is_short(value)}
    fields = " ".join(f"{key}={value}" for key, value in plain.items())
    protocol = f"n={report['n']} by {report['extractor']['name']} ({report['extractor']['preprocessing']})"
    parts = (metrics, fields, protocol, _origin(report["reference"]), report["warning"])
    return " | ".join(part for part in parts if part)


def _origin(reference: Mapping) -> str:
    """What a report's reference is: data set, file, n, image rule, and whether its extractor is known to be ours."""
    named = " ".join(part for part in (reference["dataset"], reference["split"]) if part)
    origin = " from ".join(part for part in (named, reference["source"]) if part)
    details = (f"n={reference['n'] or 'unknown'}", reference["image_rule"], reference["extractor"])
    return f"against {origin} ({', '.join(part for part in details if part)})"


def _is_short(value: object) -> bool:
    return not isinstance(value, Mapping | list | tuple) and len(str(value)) <= 24


def write_report(report: Mapping, path: str | os.PathLike) -> None:
    """report.json: sorted as built, indented, whole or not at all. Raises ValueError on NaN or infinity."""
    write_json(path, report, allow_nan=False)
