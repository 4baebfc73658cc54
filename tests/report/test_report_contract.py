"""The promises of every stage, for the two that write pages."""

from collections.abc import Mapping, Sequence
from typing import Any

import tube

from voxfield.artifacts import Artifact, Metrics, Report
from voxfield.report import subject
from voxfield.testing import StageContract


class TestSubject(StageContract):
    """report.subject"""

    name = "report.subject"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        """A subject on few voxels; the contract runs the stage many times."""
        return tube.subject((18, 15, 26), spacing=2.0)

    def make_settings(self) -> Mapping[str, Any]:
        """Every setting."""
        return {"subject": "01", "claim": "made-up tubes", "run_folder": "../..", "failures": [["a.b", "why", "log"]]}


class TestBuild(StageContract):
    """report.build"""

    name = "report.build"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        """Two small pages."""
        scan = tube.subject((18, 15, 26), spacing=2.0)["image"]
        pages: list[Report] = [subject(scan, subject=name).page for name in ("01", "02")]
        return {"pages": pages, "models": [Metrics({"steps": 200, "dice": 0.9})]}

    def make_settings(self) -> Mapping[str, Any]:
        """Every setting."""
        return {"title": "Tubes", "failures": [["03", "fields.reconstruct", "no lumen", "logs/x.log"]]}
