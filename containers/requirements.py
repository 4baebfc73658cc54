"""What a project needs, one requirement a line: `requirements.py PYPROJECT [EXTRA...]`. Standard library only."""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, *extras: str) -> list[str]:
    """Its dependencies and those of some of its extras."""
    project = tomllib.loads(pyproject.read_text())["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(need for extra in extras for need in optional[extra])]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{need}\n" for need in requirements(Path(sys.argv[1]), *sys.argv[2:])))
