"""Where workflow, pipelines and shared settings lie: beside the package in a checkout, inside it in a wheel."""

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
    for parent in path.resolve().parents:
        if (parent / RUN_MARKER).is_file():
            return parent
    return None
