"""Matplotlib without a screen, for the files here that draw."""

from typing import Any


def pyplot(what: str) -> Any:
    """matplotlib.pyplot, drawing to memory. ImportError without matplotlib, which says that `what` need it."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(f"{what} need the package matplotlib: pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
