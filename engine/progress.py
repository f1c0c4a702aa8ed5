"""A bar of progress for the verbs that go through many batches."""

from collections.abc import Iterable
from typing import Any


def progress(items: Iterable[Any], text: str, total: int | None = None) -> Iterable[Any]:
    """`items` with a bar on a terminal, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=text, total=total, unit="batch", disable=None)
