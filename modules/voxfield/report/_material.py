"""What a subject's page is made of: the artifacts that there are, and the questions that several sections ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Artifact, Centerline, Grid, Image, LabelMap, Metrics, Table, VectorImage
from voxfield.report._origins import result_of, stage_of
from voxfield.report._surroundings import around
from voxfield.report._view import VIEWS, Frame, View, make_frame

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
BRIDGE = "bridge"
FIRST_OPENING = 2


@dataclass(frozen=True)
class Material:
    """The inputs of `report.subject`, and how far around the lumen the scan is shown, mm; None for all of it."""

    image: Image
    mask: LabelMap | None
    probability: Image | None
    centerline: Centerline | None
    branches: Table | None
    bridges: Table | None
    stenoses: Table | None
    openings: LabelMap | None
    velocity: VectorImage | None
    velocity_sd: VectorImage | None
    pressure: Image | None
    pressure_sd: Image | None
    drops: Table | None
    grade: Metrics | None
    metrics: Sequence[Metrics]
    around_mm: float | None = None

    def named(self) -> list[tuple[str, Artifact]]:
        """Every artifact that is there, with a name for people."""
        words = {
            "angiogram": self.image, "lumen": self.mask, "lumen probability": self.probability,
            "centerline": self.centerline, "branches": self.branches, "bridges": self.bridges,
            "stenoses": self.stenoses,
            "openings": self.openings,
            "velocity, mean": self.velocity, "velocity, standard deviation": self.velocity_sd,
            "pressure, mean": self.pressure, "pressure, standard deviation": self.pressure_sd,
            "pressure drops": self.drops, "grade": self.grade,
        }  # fmt: skip
        single: list[tuple[str, Artifact]] = [(name, a) for name, a in words.items() if a is not None]
        return [*single, *((f"metrics of {stage_of(m) or 'unknown origin'}", m) for m in self.metrics)]

    @cached_property
    def lumen(self) -> tuple[Mask, Grid] | None:
        """Voxels of the lumen, bridges included, and their grid; from the probability where there is no mask."""
        if self.mask is not None:
            looked_at = self.mask.data != self.mask.unannotated if self.mask.unannotated is not None else True
            return (self.mask.data > 0) & looked_at, self.mask.grid
        if self.probability is not None:
            return self.probability.data > 0.5, self.probability.grid
        return None

    @cached_property
    def bridge(self) -> Mask | None:
        """Voxels that only a repair put in, on the grid of the lumen."""
        if self.mask is None:
            return None
        values = [value for value, name in self.mask.labels.items() if name == BRIDGE]
        found: Mask = np.isin(self.mask.data, values)
        return found if found.any() else None

    @cached_property
    def shown(self) -> Mask:
        """(x, y, z) voxels of the image that a picture may show; none where there is no lumen to be near to."""
        grid = self.image.grid
        if self.around_mm is None:
            return np.broadcast_to(np.ones((1, 1, 1), dtype=bool), grid.shape)
        if self.lumen is None:
            return np.broadcast_to(np.zeros((1, 1, 1), dtype=bool), grid.shape)
        return around(*self.lumen, grid, self.around_mm)

    @cached_property
    def seen(self) -> NDArray[Any]:
        """(n,) image values that a picture may show, from which grey windows are made; what is hidden sets none."""
        data = self.image.data
        return data.reshape(-1) if self.around_mm is None else data[self.shown]

    @cached_property
    def hidden(self) -> bool:
        """Whether nothing of the scan may be shown."""
        return not self.shown.any()

    @cached_property
    def frame(self) -> Frame:
        """The frame that all pictures share."""
        if self.lumen is None:
            return make_frame(self.image.grid, None)
        return make_frame(self.image.grid, *self.lumen)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The views of the page: from all three sides, or of an image of one slice the one that shows it."""
        grid = self.image.grid
        thin = [axis for axis in range(3) if grid.shape[axis] == 1]
        if len(thin) != 1:
            return VIEWS
        along = np.abs(self.frame.body.T @ grid.affine[:3, thin[0]])
        return tuple(view for view in VIEWS if view.axis == int(along.argmax()))

    @cached_property
    def moment(self) -> int:
        """The frame of a velocity series that is shown: the one with the fastest mean speed."""
        if self.velocity is None or self.velocity.data.shape[3] == 1:
            return 0
        means = [
            float(np.linalg.norm(self.velocity.data[:, :, :, t], axis=-1).mean())
            for t in range(self.velocity.data.shape[3])
        ]
        return int(np.argmax(means))

    @cached_property
    def speed(self) -> Floats | None:
        """(x, y, z) magnitude of the mean velocity at `moment`."""
        if self.velocity is None:
            return None
        found: Floats = np.linalg.norm(self.velocity.data[:, :, :, self.moment], axis=-1)
        return found

    @cached_property
    def opening_places(self) -> dict[str, Floats]:
        """Name -> world point (3,) mm in the middle of an opening."""
        if self.openings is None:
            return {}
        data, places = self.openings.data, {}
        for value in self.openings.present():
            if value >= FIRST_OPENING and value != self.openings.unannotated:
                name = self.openings.labels.get(value, f"opening-{value}")
                places[name] = self.openings.grid.world(np.argwhere(data == value).mean(axis=0))
        return places

    def result(self, stage: str) -> dict[str, Any]:
        """Values that a stage wrote, of all metrics that are there; empty where it wrote none."""
        return result_of(self.metrics, stage)
