"""Parameters by name in files of other projects, freed of what training programs wrap around them.

Three containers: what torch.save wrote, safetensors, and .npz. In them, names may have prefixes (`module.` of
DataParallel, `_orig_mod.` of torch.compile, `model.` of Lightning) and lie in dictionaries ({model, ema, step},
{state_dict: ...}); both are read as one dotted name. A kind of network is known by its anchor, a pattern at which the
names of its layers begin; the words before it are the wrapper, and say which parameters are averages:

    model.module.all_modules.0.weight        wrapper (model, module)
    ema.all_modules.0.weight                 wrapper (ema): averages, by name
    ema.shadow_params.0, .1, ...             averages without names, in the order of the trained tensors of the network
"""

import dataclasses
import functools
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from linnet.files import torch_files, zip_files
from linnet.files.refused import Refused
from linnet.interop import safetensors

AVERAGES = re.compile(r"(^|[^a-z])(emas?|shadow|swa|averaged?|averages|polyak)([^a-z]|$)", re.IGNORECASE)
CURRENT = re.compile(r"online", re.IGNORECASE)  # beside the averages, in ema_pytorch
BARE = {"module", "_orig_mod"}
"""Words that say nothing about which parameters these are."""

SHADOW = "shadow_params"
MAX_LEAVES = 1 << 18


@dataclasses.dataclass(frozen=True)
class StateDict:
    """tensors: by name, without wrappers; kind: "ema", "raw" or "unknown"; others: wrappers of what was not taken."""

    tensors: Mapping[str, Any]
    kind: str
    others: tuple[str, ...] = ()


class Npz:
    """The arrays of an .npz, by their names; the archive is opened for the first of them."""

    def __init__(self, path: Path, names: list[str]):
        self.path = path
        self.entries = {name.removesuffix(".npy"): Entry(self, name) for name in names}

    @functools.cached_property
    def archive(self) -> zip_files.Archive:
        """The archive. Refused where it is damaged or could expand."""
        return zip_files.Archive(self.path)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of an .npz."""

    npz: Npz
    name: str

    def array(self) -> np.ndarray:
        """The numbers. Refused where they are damaged, or are objects."""
        data = io.BytesIO(self.npz.archive.read(self.name))
        try:
            return np.lib.format.read_array(data, allow_pickle=False)
        except Exception as error:  # NumPy reports a damaged header by many types
            reason = f"{self.name}: {str(error)[:200]}"
            raise Refused(f"{self.npz.path}: damaged, or not only arrays ({reason})") from error


def recognises(path: Path, anchor: re.Pattern) -> bool:
    """Whether the file is one of the containers and holds names that the anchor knows."""
    try:
        return any(anchor.search(name) for name, _ in leaves(read(path)))
    except Refused:
        return False


def read(path: Path) -> Any:
    """What the file holds: dictionaries and lists of tensors and of other things; {} for no such container."""
    if torch_files.recognises(path):
        return torch_files.read(path)
    if safetensors.recognises(path):
        return safetensors.read(path)[0]
    return Npz(path, [name for name in zip_files.names(path) if name.endswith(".npy")]).entries


def arrays(path: Path, tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The numbers of the tensors. Refused where one is no tensor, or the file is damaged there."""
    held = {name: value for name, value in tensors.items() if isinstance(value, np.ndarray)}
    return held | torch_files.arrays(path, {name: value for name, value in tensors.items() if name not in held})


def find(
    path: Path, content: Any, anchor: re.Pattern, params: str, untrained: tuple[str, ...] = ()
) -> StateDict | None:
    """The network in `content` that the anchor knows: its averages for params "ema" where there are some, else what
    there is; None without such a network.

    untrained: names without a place in a list of averages. Refused for two networks on the same level.
    """
    networks, shadow = _networks(dict(leaves(content)), anchor)
    averages = {words: tensors for words, tensors in networks.items() if _averaged(words)}
    current = {words: tensors for words, tensors in networks.items() if words not in averages}
    if params == "ema" and averages or not current:
        return _choose(path, averages, "ema", networks)
    chosen = _choose(path, current, "raw" if averages or shadow else None, networks)
    if params == "ema" and shadow:
        return dataclasses.replace(chosen, tensors=_paired(path, chosen.tensors, shadow, untrained), kind="ema")
    return chosen


def leaves(content: Any, prefix: str = "", depth: int = 8) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything in nested dictionaries and lists. Refused where it is too much."""
    for number, leaf in enumerate(_leaves(content, prefix, depth)):
        if number >= MAX_LEAVES:
            raise Refused("more names than any network has; it is built to exhaust memory")
        yield leaf


def _leaves(content, prefix, depth):
    listed = content if isinstance(content, list | tuple) else ()
    for key, value in content.items() if isinstance(content, dict) else enumerate(listed):
        name = f"{prefix}{key}"
        if isinstance(value, dict | list | tuple) and depth:
            yield from _leaves(value, f"{name}.", depth - 1)
        else:
            yield name, value


def _networks(flat, anchor):
    """({words of a wrapper: {name: tensor}}, [averages without names])."""
    found = {name: anchor.search(name) for name in flat}
    networks = {name[: at.start()]: {} for name, at in found.items() if at}
    shadow = []
    longest_first = sorted(networks, key=len, reverse=True)
    for name, value in flat.items():
        if SHADOW in name.split("."):
            shadow.append(value)
        elif not isinstance(value, int | float | None):
            for prefix in [each for each in longest_first if name.startswith(each)][:1]:
                networks[prefix][name.removeprefix(prefix)] = value
    return {tuple(prefix.split(".")[:-1]): tensors for prefix, tensors in networks.items()}, shadow


def _averaged(words):
    return any(map(AVERAGES.search, words)) and not any(map(CURRENT.search, words))


def _choose(path, candidates, kind, networks):
    """The candidate with the fewest words before it; kind None: "unknown" if they say nothing, else "raw"."""
    if not candidates:
        return None
    words, *others = sorted(candidates, key=len)
    if others and len(others[0]) == len(words):
        a, b = (".".join(each) for each in (words, others[0]))
        raise Refused(f"{path}: holds several networks, {a} and {b}; save the one that you mean by itself")
    kind = kind or ("unknown" if set(words) <= BARE else "raw")
    return StateDict(candidates[words], kind, tuple(".".join(each) for each in networks if each != words))


def _paired(path, tensors, shadow, untrained):
    """`tensors` with the trained ones replaced by their averages."""
    trained = [name for name in tensors if name not in untrained]
    if len(trained) != len(shadow):
        raise Refused(f"{path}: {len(shadow)} averages for {len(trained)} trained tensors: they cannot be told apart")
    for name, average in zip(trained, shadow, strict=True):
        if (found := getattr(average, "shape", average)) != tensors[name].shape:
            raise Refused(f"{path}: the average of {name} is {found!r}, not {tensors[name].shape}")
    return tensors | dict(zip(trained, shadow, strict=True))
