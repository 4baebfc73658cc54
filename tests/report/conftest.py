"""A finished subject, in memory and from files with records; made once."""

from pathlib import Path
from typing import Any

import pytest
import tube

from voxfield.artifacts import (
    Centerline,
    Image,
    ImageSeries,
    LabelMap,
    Metrics,
    Report,
    Table,
    VectorImage,
)
from voxfield.paths import RUN_MARKER
from voxfield.report import subject

KINDS: dict[str, Any] = {
    "image": Image, "mask": LabelMap, "probability": Image, "centerline": Centerline, "branches": Table,
    "bridges": Table,
    "stenoses": Table,
    "openings": LabelMap, "velocity": VectorImage, "velocity_sd": VectorImage, "pressure": ImageSeries,
    "pressure_sd": ImageSeries, "drops": Table, "grade": Metrics,
}  # fmt: skip


@pytest.fixture(scope="session")
def made() -> dict[str, Any]:
    """Every input of `report.subject`, in memory."""
    return tube.subject()


@pytest.fixture(scope="session")
def run(made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the files of one subject and their records."""
    folder = tmp_path_factory.mktemp("run")
    (folder / RUN_MARKER).write_text("{}")
    tube.write(folder / "sub-01", made)
    return folder


@pytest.fixture(scope="session")
def inputs(run: Path) -> dict[str, Any]:
    """The same inputs, read from the files of the run."""
    folder = run / "sub-01"
    loaded = {name: kind.load(folder / tube.FILES[name][0]) for name, kind in KINDS.items()}
    return {**loaded, "metrics": [Metrics.load(folder / name) for name in tube.METRIC_FILES]}


@pytest.fixture(scope="session")
def page(run: Path, inputs: dict[str, Any]) -> Report:
    """The page of the subject, in its place in the run folder."""
    made = subject(**inputs, subject="01", claim="made-up tubes", run_folder="../..").page
    made.save(run / "sub-01" / "page")
    return Report.load(run / "sub-01" / "page")
