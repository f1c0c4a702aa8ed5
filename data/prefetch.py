"""Host-to-device copies ahead of their use, in a background thread."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


class Prefetch:
    """Runs `put(next(iterator))` in a background thread, `size` items ahead of the consumer.

    An exception of the iterator or of `put` is raised by `next`, after the items that came before it.
    `close`, or leaving a `with` block, stops the thread and closes the iterator.
    """

    def __init__(self, iterator: Iterator, put: Callable, size: int):
        self._iterator, self._put = iterator, put
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._ahead = deque(self._worker.submit(self._produce) for _ in range(size))

    def _produce(self):
        return self._put(next(self._iterator))

    def __iter__(self) -> "Prefetch":
        return self

    def __next__(self):
        if not self._ahead:
            raise StopIteration
        try:
            item = self._ahead.popleft().result()
        except BaseException:
            self.close()
            raise
        self._ahead.append(self._worker.submit(self._produce))
        return item

    def close(self) -> None:
        """Ends the thread that reads ahead, and the iterator."""
        self._ahead.clear()
        self._worker.shutdown(wait=True, cancel_futures=True)
        close = getattr(self._iterator, "close", None)
        if close:
            close()

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def prefetch(iterator: Iterator, put: Callable, size: int = 2) -> Prefetch:
    """`put` (host to device) applied to the items of `iterator`, `size` of them ahead, in a background thread."""
    if size < 1:
        raise ValueError(f"prefetch needs a size of at least 1, not {size}")
    return Prefetch(iterator, put, size)
