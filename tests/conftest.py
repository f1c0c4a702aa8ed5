"""Shared fixtures: the golden files of independent implementations, and a compilation cache."""

import gc
import os
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Workers share the cores: threads of BLAS that wait for each other would spend most of the time of a small product.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Two devices; compiling quickly matters more than running quickly here. Programs are kept between processes of a run.
FAST_COMPILATION = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):  # XLA ends a program that names a flag which it does not have
    FAST_COMPILATION += " --xla_cpu_use_fusion_emitters=false"
FAST_RUNNING = {"xla_backend_optimization_level": 2}  # compiler_options of jax.jit, where running takes longer
os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count=2 {FAST_COMPILATION}")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "compiled"))
# All of them: most are one operation, which takes ten times as long to compile as to read.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import numpy as np
import pytest

# Traces make many small objects, which the garbage collector would walk through at every few of them.
gc.set_threshold(50_000, 20, 50)

GOLDEN = Path(os.environ.get("LINNET_GOLDEN", ROOT.parent / "shared" / "golden"))


class Golden:
    """Reads golden files in place; a test that needs an absent one is skipped and says so."""

    def path(self, name: str) -> Path:
        """Path of golden file `name`, for example "jax/cld_loss.npz"."""
        path = GOLDEN / name
        if not path.exists():
            pytest.skip(f"golden file {name} is not there (set LINNET_GOLDEN to the folder of golden files)")
        return path

    def __call__(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.path(name), allow_pickle=False) as arrays:
            return dict(arrays)


@pytest.fixture(scope="session")
def golden() -> Golden:
    """golden("jax/cld_loss.npz") -> dict of arrays; golden.path(name) -> Path."""
    return Golden()


@pytest.fixture
def x64():
    """float64 inside JAX for one test."""
    with jax.enable_x64(True):
        yield
