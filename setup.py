"""The folders of the clone become packages below `linnet` in a wheel; everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

FOLDERS = (
    "configs",
    "data",
    "devices",
    "engine",
    "evaluation",
    "files",
    "interop",
    "models",
    "modes",
    "samplers",
    "sde_lib",
    "training",
)
found = find_namespace_packages(include=[*FOLDERS, *(f"{folder}.*" for folder in FOLDERS)])
packages = {"linnet": "linnet", "linnet.assets": "assets"}
packages |= {f"linnet.{name}": name.replace(".", "/") for name in found}
setup(packages=sorted(packages), package_dir=packages, package_data={"linnet.assets": ["*.npz"]})
