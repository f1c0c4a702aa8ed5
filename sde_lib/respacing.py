"""Which steps of a discrete chain are kept: a text -> increasing step numbers.

"250"                evenly over 0 .. N - 1, both ends included            (improved DDPM, arXiv:2102.09672)
"10,15,20"           the same in equal consecutive parts of the chain, first part at the data; 0 skips a part
"ddim250"            every j-th step from 0, where that gives exactly 250  (DDIM, arXiv:2010.02502)
"uniform50"          every (N // 50)-th step from 0; more than 50 where 50 does not divide N
"uniform-trailing50" the same counted down from N - 1
"uniform-linspace50" floor((N - 1) j / 49), j = 0 .. 49
"quad50"             floor((sqrt(0.8 N) j / 49)^2), j = 0 .. 49; repeated steps are kept once
"", "none"           all N steps

"uniform-leading50" is another name of "uniform50", "trailing50" of "uniform-trailing50". Where one step is kept, it is
N - 1, the only one at which sampling can begin with noise.
"""

import re

import numpy as np

SPEC = re.compile(r"([a-z-]+)(\d+)|\d+(,\d+)*")


def kept_steps(num_steps: int, respacing: str) -> np.ndarray:
    """Step numbers that `respacing` keeps of 0 .. num_steps - 1, int64. ValueError for a text it cannot follow."""
    text = respacing.replace(" ", "")
    if text in ("", "none"):
        return np.arange(num_steps)
    found = SPEC.fullmatch(text)
    if not found or found[1] not in (None, *SKIPS):
        raise ValueError(
            f"sampling.respacing {respacing!r}: write 250, 10,15,20, or 50 after one of {', '.join(SKIPS)}"
        )
    counts = [int(found[2])] if found[1] else [int(count) for count in text.split(",")]
    if not 1 <= sum(counts) <= num_steps:
        raise ValueError(f"sampling.respacing {respacing!r}: cannot keep {sum(counts)} of {num_steps} steps")
    if sum(counts) == 1:
        return np.array([num_steps - 1])
    return SKIPS[found[1]](num_steps, *counts) if found[1] else _sections(num_steps, counts)


def _sections(num_steps, counts):
    """Evenly spaced steps in each of len(counts) consecutive sections; the first ones are longer by the remainder."""
    size, longer = divmod(num_steps, len(counts))
    kept, start = [], 0
    for number, count in enumerate(counts):
        length = size + (number < longer)
        if count > length:
            raise ValueError(f"sampling.respacing: cannot keep {count} of the {length} steps of section {number + 1}")
        stride = (length - 1) / (count - 1) if count > 1 else 1.0
        # Sums in this order decide ties of rounding as in the published code.
        places = np.cumsum([0.0] + [stride] * (count - 1))[:count]
        kept.append(start + np.round(places).astype(np.int64))
        start += length
    return np.unique(np.concatenate(kept))


def _ddim(num_steps, count):
    for stride in range(1, num_steps):
        if len(range(0, num_steps, stride)) == count:
            return np.arange(0, num_steps, stride)
    raise ValueError(f"sampling.respacing 'ddim{count}': no integer stride keeps {count} of {num_steps} steps")


def _uniform(num_steps, count):
    return np.arange(0, num_steps, num_steps // count)


def _trailing(num_steps, count):
    return np.arange(num_steps - 1, -1, -(num_steps // count))[::-1]


def _linspace(num_steps, count):
    return np.unique(_line(num_steps - 1, count).astype(np.int64))


def _quad(num_steps, count):
    return np.unique((_line(np.sqrt(0.8 * num_steps), count) ** 2).astype(np.int64))


def _line(end, count):
    """float32 numbers from 0 to end, equidistant; each rounded once, from the nearer end, as in the published code."""
    step = np.float64(np.float32(end) / np.float32(count - 1))
    number = np.arange(count)
    return np.where(number < count // 2, step * number, np.float32(end) - step * number[::-1]).astype(np.float32)


SKIPS = {
    "ddim": _ddim,
    "uniform": _uniform,
    "uniform-leading": _uniform,
    "uniform-linspace": _linspace,
    "uniform-trailing": _trailing,
    "trailing": _trailing,
    "quad": _quad,
}
