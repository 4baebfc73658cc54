"""pde.distance and pde.evolve keep the promises of a stage."""

from collections.abc import Mapping
from typing import Any

from pde.fronts import hook, seed, speed
from voxfield.artifacts import Artifact
from voxfield.testing import StageContract


class TestDistance(StageContract):
    """Arrival times in a hook, by both methods."""

    name = "pde.distance"

    def make_inputs(self) -> Mapping[str, Artifact]:
        mask, sources = hook()
        return {"mask": mask, "sources": sources, "speed": speed()}


class TestEvolve(StageContract):
    """A month of growth in two tissues."""

    name = "pde.evolve"

    def make_inputs(self) -> Mapping[str, Artifact]:
        initial, tissue = seed()
        return {"initial": initial, "tissue": tissue}

    def make_settings(self) -> Mapping[str, Any]:
        return {
            "times_day": [10, 30],
            "diffusivity_mm2_per_day": {"white": 0.1, "2": 0.02},
            "proliferation_per_day": 0.05,
            "tolerance": 0.01,
        }
