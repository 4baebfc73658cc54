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


@pytest.mark.parametrize(
    ("subjects", "validation", "words"), [((), (), "empty"), (("a", "a"), (), "twice"), (("a",), ("b",), "no subject")]
)
def test_refusals(subjects: tuple[str, ...], validation: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        cohort(subjects=subjects, validation=validation)
