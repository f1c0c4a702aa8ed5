"""A bar of progress for the verbs that go through many batches."""


def progress(items, text, total=None):
    """`items` with a bar on a terminal, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=text, total=total, unit="batch", disable=None)
