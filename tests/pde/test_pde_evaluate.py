"""pde.evaluate: drops against a known pressure."""

import numpy as np
import pytest

from voxfield.artifacts import Image, LabelMap, Table
from voxfield.errors import InputError
from voxfield.pde import evaluate
from voxfield.testing import StageContract

AFFINE = np.eye(4)


def parts() -> tuple[Image, LabelMap, LabelMap]:
    """A duct along z whose pressure falls by 1 Pa a voxel, cut by caps at z = 1 and z = 8."""
    lumen = np.zeros((5, 5, 10), "u1")
    lumen[1:4, 1:4, 2:8] = 1
    openings = np.zeros_like(lumen)
    openings[1:4, 1:4, 1] = 2
    openings[1:4, 1:4, 8] = 3
    pressure = np.broadcast_to(-np.arange(10.0), (5, 5, 10)) * lumen
    return Image(pressure.astype("f4"), AFFINE), LabelMap(lumen, AFFINE), LabelMap(openings, AFFINE)


def drops(value: float, sd: float = 0.5) -> Table:
    return Table({"opening": [2, 3], "pressure_pa": [0.0, value], "sd_pa": [0.0, sd], "reference": [1, 0]})


class TestEvaluate(StageContract):
    name = "pde.evaluate"

    def make_inputs(self) -> dict[str, object]:
        truth, lumen, openings = parts()
        return {"drops": drops(-5.5), "truth": truth, "lumen": lumen, "openings": openings}


def test_error_by_hand() -> None:
    """Six voxels lie between the caps, so the planes are 6 Pa apart; the outermost voxels only 5."""
    values = evaluate(drops(-6.6), *parts()).metrics.values
    assert values["openings"][0]["true_pa"] == pytest.approx(-6.0)
    assert values["relative_l2"] == pytest.approx(0.1)
    assert values["inside_95"] == 1
    assert evaluate(drops(-6.6, 0.1), *parts()).metrics.values["inside_95"] == 0


def test_a_lumen_one_voxel_deep_has_the_pressure_of_its_voxel() -> None:
    truth, lumen, openings = parts()
    thin = np.zeros_like(lumen.data)
    thin[:, :, 5] = lumen.data[:, :, 5]
    caps = np.zeros_like(openings.data)
    caps[1:4, 1:4, 4], caps[1:4, 1:4, 6] = 2, 3
    found = evaluate(drops(0.0), truth, LabelMap(thin, AFFINE), LabelMap(caps, AFFINE)).metrics.values
    assert found["openings"][0]["true_pa"] == 0


def test_nothing_to_judge_is_refused() -> None:
    table = Table({"opening": [2], "pressure_pa": [0.0], "sd_pa": [0.0], "reference": [1]})
    with pytest.raises(InputError, match="nothing can be judged"):
        evaluate(table, *parts())
