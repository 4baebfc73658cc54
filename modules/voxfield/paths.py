"""Where workflow, pipelines and shared settings lie: beside the package in a checkout, inside it in a wheel."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
RUN_MARKER = "voxfield-run.json"


def resource_folder(name: str) -> Path:
    """The folder `workflow`, `pipelines` or `configs`. The checkout wins over the copy in site-packages."""
    checkout = PACKAGE.parent.parent / name
    if checkout.is_dir() and (PACKAGE.parent.parent / "pyproject.toml").is_file():
        return checkout
    return PACKAGE / f"_{name}"


def run_folder(path: Path) -> Path | None:
    """The run folder that holds `path`: the nearest parent with a run marker, or None."""
    for parent in resolved(path).parents:
        if is_file(parent / RUN_MARKER):
            return parent
    return None


def resolved(path: Path) -> Path:
    """The path without links. A loop of links, at which pathlib gives up, is followed as far as it leads."""
    return Path(os.path.realpath(path))


def is_folder(path: Path) -> bool:
    """Whether a folder lies there. A name too long, or a place that may not be looked at, is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether a regular file lies there, with the same patience."""
    try:
        return path.is_file()
    except OSError:
        return False
