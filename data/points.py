"""Two-dimensional toy densities: float32 points (2,), scaled so that the mean square of a coordinate is about 1.

Each generator maps (rng, n) to points (n, 2) and labels (n,), the component that a point was drawn from. The
scales are constants computed from the densities, not from the sample, so the densities are known exactly.
"""

import numpy as np
from ml_collections import ConfigDict

from linnet.data.source import ArraySource
from linnet.registry import choose, takes

NUM_POINTS = 20_000
SEED = 2022
SPLITS = ("train", "test", "val")
RING_RADII = np.arange(1, 5) / np.sqrt(3.75)
RING_NOISE = 0.02
GAUSSIAN_CENTRES = np.sqrt(2) * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], -1)
GAUSSIAN_STD = 0.1
MOON_SCALE = np.sqrt(2)
MOON_NOISE = 0.08
SPIRAL_TURNS = 1.5
SPIRAL_NOISE = 0.05
CHECKER_SIDE = np.sqrt(3) / 2


def rings(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Four concentric rings of equal mass, radii (1, 2, 3, 4) / sqrt(3.75), radial noise 0.02."""
    ring = rng.integers(0, 4, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = RING_RADII[ring] + RING_NOISE * rng.standard_normal(n)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1), ring


def moons(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles around (-1/2, -1/4) and (1/2, 1/4), times sqrt(2), isotropic noise 0.08."""
    moon = rng.integers(0, 2, n)
    angle = rng.uniform(0, np.pi, n)
    sign = 1 - 2 * moon
    centre = np.stack([-0.5 * sign, -0.25 * sign], -1)
    circle = sign[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    return MOON_SCALE * (circle + centre) + MOON_NOISE * rng.standard_normal((n, 2)), moon


def checkerboard(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform on the 8 dark squares of a 4 x 4 board that covers [-sqrt(3), sqrt(3)]^2."""
    square = rng.integers(0, 8, n)
    row, column = square // 2, 2 * (square % 2) + (square // 2) % 2
    corner = np.stack([column, row], -1) - 2
    return CHECKER_SIDE * (corner + rng.uniform(0, 1, (n, 2))), square


def gaussians(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight equal isotropic Gaussians of standard deviation 0.1 on a circle of radius sqrt(2)."""
    component = rng.integers(0, 8, n)
    return GAUSSIAN_CENTRES[component] + GAUSSIAN_STD * rng.standard_normal((n, 2)), component


def spiral(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two arms of an Archimedean spiral, 1.5 turns, radius 2 sqrt(s) at angle 3 pi sqrt(s), noise 0.05."""
    arm = rng.integers(0, 2, n)
    root = np.sqrt(rng.uniform(0, 1, n))
    angle = 2 * np.pi * SPIRAL_TURNS * root + np.pi * arm
    curve = 2 * root[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    return curve + SPIRAL_NOISE * rng.standard_normal((n, 2)), arm


POINTS = {
    "rings": (rings, 4),
    "moons": (moons, 2),
    "checkerboard": (checkerboard, 8),
    "gaussians": (gaussians, 8),
    "spiral": (spiral, 2),
}
"""Name -> (generator, number of components)."""


@takes("points", "num_points")
def points_source(settings: ConfigDict, split: str) -> ArraySource:
    """`data.points` of POINTS, `data.num_points` of them (default 20,000); the splits are independent draws."""
    name = settings.get("points", "rings")
    generate, num_classes = choose(POINTS, name, "data.points")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([SEED, SPLITS.index(split)])))
    x, labels = generate(rng, settings.get("num_points", 0) or NUM_POINTS)
    return ArraySource(name, split, x.astype(np.float32), labels, num_classes)
