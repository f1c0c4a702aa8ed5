"""What the training steps take, in order, placed on the devices ahead of them; it knows how far it has come."""

from typing import Any

import jax

from linnet.data import pipeline


class Feed:
    """feed(n) -> what the next n steps take. position: examples that were given out, counted over all epochs.

    A context manager, which ends the thread that reads ahead. sizes: the n of all calls to come. put: host batches ->
    what a dispatch takes. Errors of the source and of `put` are raised by the call whose batches they concern.
    """

    def __init__(self, source, batch_size, *, seed, position, sizes, put, num_workers):
        self.position = position
        self._batch_size = batch_size
        batches = pipeline.batches(
            source,
            batch_size,
            seed=seed,
            start=position,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            num_workers=num_workers,
        )
        self._ahead = pipeline.prefetch(([next(batches) for _ in range(n)] for n in sizes), put)

    def __call__(self, n: int) -> Any:
        """What the next n steps take."""
        chunk = next(self._ahead)
        self.position += n * self._batch_size
        return chunk

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ahead.close()
