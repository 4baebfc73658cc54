"""The table of networks names every architecture and no other."""

import re
from pathlib import Path

from voxfield.segmentation.networks import ARCHITECTURES

PAGE = Path(__file__).parents[2] / "docs" / "segmentation.md"


def test_every_architecture_has_a_row() -> None:
    section = PAGE.read_text().split("## Networks")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == sorted(ARCHITECTURES)
