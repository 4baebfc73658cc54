"""pde.pressure keeps the promises of a stage."""

from collections.abc import Mapping, Sequence

from pde.test_pressure import inputs
from voxfield.artifacts import Artifact
from voxfield.testing import StageContract


class TestPressure(StageContract):
    """Sixteen samples of Poiseuille flow in a tilted tube."""

    name = "pde.pressure"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        samples, openings = inputs()
        return {"samples": samples, "openings": openings}
