"""io.cohort: one row a scan."""

import pytest

from voxfield.errors import SettingsError
from voxfield.io import cohort
from voxfield.testing import StageContract


class TestCohort(StageContract):
    name = "io.cohort"

    def make_inputs(self) -> dict[str, object]:
        return {}

    def make_settings(self) -> dict[str, object]:
        return {"subjects": ["a", "b"], "validation": ["b"], "annotation": "sparse"}


def test_rows() -> None:
    table = cohort(subjects=("a", "b"), validation=("b",), annotation="sparse").cohort
    assert table.column("split") == ["train", "val"]
    assert table.column("unannotated") == [255, 255]


def test_visits_of_a_patient() -> None:
    table = cohort(subjects=("a", "b", "c"), patients=("p", "p", "q")).cohort
    assert table.patients == ["p", "p", "q"]
    with pytest.raises(SettingsError, match="1 patients for 2 subjects"):
        cohort(subjects=("a", "b"), patients=("p",))


@pytest.mark.parametrize(
    ("subjects", "validation", "words"), [((), (), "empty"), (("a", "a"), (), "twice"), (("a",), ("b",), "no subject")]
)
def test_refusals(subjects: tuple[str, ...], validation: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        cohort(subjects=subjects, validation=validation)
