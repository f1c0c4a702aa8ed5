"""Short names in a clone: `import samplers` gives the module linnet.samplers itself, never a second copy of it.

Who runs Python in the folder of the clone finds its folders on the path (`samplers`, `models`, ...), and configs and
tests import them so. A finder answers these names, but only where Python would have found the clone's folder under
them: a project that installed Linnet and has a `models` of its own keeps its own.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


def install(root: str | Path) -> None:
    """Puts the finder for the clone at `root` before Python's own, and replaces what was imported without it."""
    finder = ShortNames(root)
    sys.meta_path.insert(0, finder)
    ours = {top for top in finder.names & sys.modules.keys() if finder.is_ours(sys.modules[top].__spec__)}
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in ours):
        sys.modules[name] = importlib.import_module(f"linnet.{name}")  # an import under way ends with what is put here


class ShortNames(MetaPathFinder, Loader):
    """Finds `samplers` and `samplers.grids` as linnet.samplers and linnet.samplers.grids."""

    def __init__(self, root):
        self.root = Path(root)
        self.names = {file.parent.name for file in self.root.glob("*/*.py")} - {"linnet", "tests", "benchmarks"}

    def is_ours(self, spec: ModuleSpec | None) -> bool:
        """Whether `spec` is of a folder of the clone."""
        places = [Path(place).resolve() for place in getattr(spec, "submodule_search_locations", None) or ()]
        return any(place.parent == self.root for place in places)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec that leads to the module below linnet; None for every name that is not one of the clone's."""
        top = name.partition(".")[0]
        if top not in self.names:
            return None
        if path is None and not self.is_ours(PathFinder.find_spec(name)):
            return None
        if path is not None and sys.modules.get(top) is not sys.modules.get(f"linnet.{top}"):
            return None
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """An empty module for the time of the import."""
        return

    def exec_module(self, module: ModuleType) -> None:
        """Puts the module below linnet in its place."""
        name = module.__name__
        sys.modules[name] = importlib.import_module(f"linnet.{name}")
