"""The stage `io.cohort`: a cohort table from a list of subjects."""

from collections import Counter
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Cohort
from voxfield.errors import SettingsError
from voxfield.stage import Context, Resources, stage


class CohortTable(NamedTuple):
    """What `io.cohort` makes."""

    cohort: Cohort


@stage(resources=Resources(mem_mb=500, runtime=5), version=2)
def cohort(
    *,
    subjects: tuple[str, ...] = (),
    patients: tuple[str, ...] = (),
    validation: tuple[str, ...] = (),
    annotation: Literal["dense", "sparse"] = "dense",
    unannotated: Annotated[int, Ge(1), Le(65535)] = 255,
    ctx: Context = Context(),
) -> CohortTable:
    """List subjects as a cohort: one row a scan.

    Settings
    subjects: ids of the scans, in the order in which images and masks are given to a training stage
    patients: who was scanned, in the same order; each scan shows a patient of its own if not given
    validation: ids among them whose split is `val`; the others are `train`
    annotation: `sparse` where only some slices of the masks are annotated
    unannotated: value of the voxels that nobody looked at; written for sparse masks only

    Raises SettingsError for an empty list, an id that stands twice, a validation id that is no subject, and where the
    numbers of subjects and patients differ.
    """
    del ctx  # nothing here is random or slow
    _refuse_bad_lists(subjects, patients, validation)
    rows = len(subjects)
    columns: dict[str, list[Any]] = {
        "subject": list(subjects),
        "patient": list(patients or subjects),
        "split": ["val" if subject in validation else "train" for subject in subjects],
        "annotation": [annotation] * rows,
    }
    if annotation == "sparse":
        columns["unannotated"] = [unannotated] * rows
    return CohortTable(Cohort(columns))


def _refuse_bad_lists(subjects: tuple[str, ...], patients: tuple[str, ...], validation: tuple[str, ...]) -> None:
    if not subjects:
        raise SettingsError("io.cohort: setting 'subjects' is empty; expected at least one id")
    twice = sorted(subject for subject, count in Counter(subjects).items() if count > 1)
    if twice:
        raise SettingsError(f"io.cohort: subject {twice[0]!r} stands twice; give every scan its own id")
    if patients and len(patients) != len(subjects):
        raise SettingsError(f"io.cohort: {len(patients)} patients for {len(subjects)} subjects; give one for each")
    strangers = sorted(set(validation) - set(subjects))
    if strangers:
        raise SettingsError(f"io.cohort: validation names {strangers[0]!r}, which is no subject")
