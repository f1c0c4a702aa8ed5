"""Order, exceptions, end and closing of the background thread."""

import itertools
import threading
import time

import pytest

from data.pipeline import prefetch


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_items_arrive_in_order_through_put_in_another_thread():
    threads = set()

    def put(x):
        threads.add(threading.current_thread())
        return 10 * x

    assert list(prefetch(iter(range(20)), put, size=3)) == [10 * x for x in range(20)]
    assert threading.current_thread() not in threads
    assert not prefetch_threads()


def test_it_runs_ahead_by_size_and_no_further():
    made = []
    ahead = prefetch(itertools.count(), made.append, size=3)
    next(ahead)
    deadline = time.time() + 5
    while len(made) < 4 and time.time() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3]
    ahead.close()


@pytest.mark.parametrize("where", ["iterator", "put"])
def test_an_exception_comes_after_the_items_before_it_and_stops_the_thread(where):
    def fail(x):
        if x == 2:
            raise RuntimeError("bad item 2")
        return x

    items = map(fail, itertools.count()) if where == "iterator" else itertools.count()
    ahead = prefetch(items, fail)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(RuntimeError, match="bad item 2"):
        next(ahead)
    assert not prefetch_threads()
    with pytest.raises(StopIteration):
        next(ahead)


def test_closing_closes_the_iterator_and_ends_the_thread():
    closed = []

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    with prefetch(endless(), str) as ahead:
        assert next(ahead) == "0"
    assert closed == [True]
    assert not prefetch_threads()


def test_a_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        prefetch(iter(()), str, size=0)
