"""The feed of training: its batches are those of the pipeline, and its position is where another feed would go on."""

import numpy as np
import pytest

from data import pipeline
from data.source import ArraySource
from engine.feed import Feed

SOURCE = ArraySource("numbers", "train", np.arange(10, dtype=np.float32)[:, None], np.zeros(10, np.int32), 0)
SIZES = (2, 2, 1)


def feed(position=0, sizes=SIZES, put=list):
    return Feed(SOURCE, 4, seed=3, position=position, sizes=sizes, put=put, num_workers=0)


def indices(chunks):
    return np.concatenate([batch["index"] for chunk in chunks for batch in chunk]).tolist()


def test_a_feed_goes_on_where_another_stopped():
    """Across the end of an epoch of 10 examples; what was read ahead and not taken does not count."""
    batches = pipeline.batches(SOURCE, 4, seed=3)
    wanted = indices([[next(batches) for _ in range(sum(SIZES))]])
    with feed() as first:
        begun = [first(2)]
        assert first.position == 2 * 4
    with feed(first.position, SIZES[1:]) as second:
        went_on = [second(n) for n in SIZES[1:]]
        assert second.position == sum(SIZES) * 4
    assert indices(begun + went_on) == wanted


def test_a_batch_that_could_not_be_placed_was_not_given_out():
    def put(batches):
        raise OSError("no such image")

    with feed(put=put) as broken:
        with pytest.raises(OSError, match="no such image"):
            broken(2)
        assert broken.position == 0
