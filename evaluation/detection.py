"""How well a score tells outliers from images of the data: areas under ROC and precision-recall curves, FPR at a TPR.

Outliers are the positives, and the higher score is theirs. Intervals are percentiles of a bootstrap that draws both
sets anew (Efron 1979). Curves by scikit-learn.
"""

import numpy as np

TPR = 0.95
RESAMPLES = 200
PERCENTILES = (2.5, 97.5)


def detection(inside: np.ndarray, outside: np.ndarray, seed: int = 0) -> dict[str, float | list[float]]:
    """{"auroc", "aupr", "fpr95"} of scores (N,) and (M,), and with "_interval" behind each name its 95 % interval.

    ValueError for a score that is not finite.
    """
    if not (np.isfinite(inside).all() and np.isfinite(outside).all()):
        raise ValueError("a score that is not finite says nothing of an image: look at the samples of this checkpoint")
    random = np.random.default_rng(seed)
    drawn = [curves(*(random.choice(scores, len(scores)) for scores in (inside, outside))) for _ in range(RESAMPLES)]
    found: dict[str, float | list[float]] = {}
    for name, value in curves(inside, outside).items():
        interval = np.percentile([of[name] for of in drawn], PERCENTILES)
        found |= {name: value, f"{name}_interval": interval.tolist()}
    return found


def curves(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    """The three numbers themselves. ImportError without scikit-learn."""
    try:
        from sklearn import metrics
    except ImportError as error:
        raise ImportError("areas under curves need the package scikit-learn: pip install scikit-learn") from error
    scores = np.concatenate([inside, outside])
    outlying = np.repeat([0, 1], [len(inside), len(outside)])
    fpr, tpr, _ = metrics.roc_curve(outlying, scores, drop_intermediate=False)
    return {
        "auroc": float(metrics.auc(fpr, tpr)),
        "aupr": float(metrics.average_precision_score(outlying, scores)),
        "fpr95": float(fpr[np.argmax(tpr >= TPR)]),
    }
