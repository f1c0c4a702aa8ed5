"""Which steps of a discrete chain are kept: a text -> increasing step numbers.

"250"        evenly over 0 .. N - 1, both ends included            (improved DDPM, arXiv:2102.09672)
"10,15,20"   the same in equal consecutive parts of the chain, first part at the data
"ddim250"    every j-th step from 0, where that gives exactly 250  (DDIM, arXiv:2010.02502)
"uniform50"  every (N // 50)-th step from 0; more than 50 where 50 does not divide N
"trailing50" the same counted down from N - 1
"quad50"     floor((sqrt(0.8 N) j / 49)^2), j = 0 .. 49; repeated steps are kept once
""           all N steps
"""

import re

import numpy as np

SPEC = re.compile(r"(ddim|uniform|trailing|quad)(\d+)|\d+(,\d+)*")


def kept_steps(num_steps: int, respacing: str) -> np.ndarray:
    """Step numbers that `respacing` keeps of 0 .. num_steps - 1, int64. ValueError for a text it cannot follow."""
    text = respacing.replace(" ", "")
    if not text:
        return np.arange(num_steps)
    found = SPEC.fullmatch(text)
    if not found:
        raise ValueError(
            f"sampling.respacing {respacing!r}: write 250, 10,15,20, ddim250, uniform50, trailing50 or quad50"
        )
    if not found[1]:
        return _sections(num_steps, [int(count) for count in text.split(",")])
    count = int(found[2])
    if not 1 <= count <= num_steps:
        raise ValueError(f"sampling.respacing {respacing!r}: cannot keep {count} of {num_steps} steps")
    return {"ddim": _ddim, "uniform": _uniform, "trailing": _trailing, "quad": _quad}[found[1]](num_steps, count)


def _sections(num_steps, counts):
    """Evenly spaced steps in each of len(counts) consecutive sections; the first ones are longer by the remainder."""
    size, longer = divmod(num_steps, len(counts))
    kept, start = [], 0
    for number, count in enumerate(counts):
        length = size + (number < longer)
        if not 1 <= count <= length:
            raise ValueError(f"sampling.respacing: cannot keep {count} of the {length} steps of section {number + 1}")
        stride = (length - 1) / (count - 1) if count > 1 else 1.0
        # Sums in this order decide ties of rounding as in the published code.
        places = np.cumsum([0.0] + [stride] * (count - 1))
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


def _quad(num_steps, count):
    return np.unique((np.linspace(0, np.sqrt(0.8 * num_steps), count) ** 2).astype(np.int64))
