"""LabelMap: one integer a voxel, with the names of the integers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._nifti._note import Note
from voxfield.artifacts._nifti._writer import write_nifti
from voxfield.artifacts._order import reordered
from voxfield.artifacts._values import LARGEST_INT64, integer_values, narrowest
from voxfield.artifacts._volume import Volume, as_array
from voxfield.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from voxfield.artifacts._nifti._header import Header

UNANNOTATED = 255


class LabelMap(Volume):
    """A map of labels.

    data         (x, y, z) in the narrowest of uint8, int16, int32, int64
    affine       (4, 4) voxel index to world, mm, RAS+
    labels       value -> name; empty where nothing is declared
    unannotated  the value of voxels that nobody looked at, 255 by convention and never 0; None where all
                 were looked at
    """

    def __init__(
        self,
        data: ArrayLike,
        affine: ArrayLike,
        *,
        labels: Mapping[int, str] | None = None,
        unannotated: int | None = None,
    ) -> None:

        array = as_array(data, self.kind)
        if array.ndim != 3 or array.dtype.kind not in "biu":
            raise InputError(f"a label map is (x, y, z) integers; found {array.dtype}, shape {array.shape}")
        if unannotated == 0:
            raise InputError("the unannotated value is 0, which is the background; use another, 255 by convention")
        if int(array.max()) > LARGEST_INT64:
            raise InputError(f"a label map holds labels up to {array.max()}, out of the range of int64")
        dtype = narrowest(int(array.min()), int(array.max()))
        super().__init__(reordered(array, dtype, "C"), affine)
        self.labels = {int(value): str(name) for value, name in (labels or {}).items()}
        self.unannotated = unannotated

    @classmethod
    def _expected_shape(cls, header: Header, inspection: Inspection) -> tuple[int, ...]:
        shape = header.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3:
            inspection.refuse(f"has {len(shape)} dimensions, {' x '.join(map(str, shape))}; expected 3D (x, y, z)")
        return shape

    def _from_header(self, header: Header) -> None:
        self.labels = dict(header.note.labels)
        self.unannotated = header.note.unannotated

    def _convert(self, stored: NDArray[Any], header: Header, inspection: Inspection) -> NDArray[Any]:
        return integer_values(stored, header.scaling, inspection)

    def _judge(self, data: NDArray[Any], inspection: Inspection) -> None:
        present = self.present()
        looked_at = [value for value in present if value != self.unannotated]
        if UNANNOTATED in looked_at and UNANNOTATED not in self.labels:
            self._tell_of_255(inspection)
            looked_at.remove(UNANNOTATED)
        if not any(looked_at):
            inspection.note("empty-mask", "warning", "no foreground: the label map is empty")
        elif 0 not in looked_at:
            inspection.note("no-background", "warning", "no background: the label map is full of labels")
        self._note_undeclared(looked_at, inspection)

    def _tell_of_255(self, inspection: Inspection) -> None:
        """Refuse an unexpected 255 where labels are declared; where none are, somebody may still say what it is."""
        message = "holds the label 255, which stands for unannotated voxels by convention and is not declared"
        if self.labels:
            inspection.refuse(f"{message} (unexpected); declare it as unannotated or as a label")
        inspection.note("label-255", "warning", f"{message}; a stage that trains has to be told what it is")

    def _note_undeclared(self, present: list[int], inspection: Inspection) -> None:
        if self.labels:
            strange = [value for value in present if value != 0 and value not in self.labels]
            if strange:
                inspection.note(
                    "undeclared-label", "warning",
                    f"labels {_some(strange)} are not among the declared {_some(sorted({0, *self.labels}))}",
                    strange[:20],
                )  # fmt: skip
        elif present and (present[0] < 0 or present[-1] > len([value for value in present if value > 0])):
            inspection.note(
                "label-gap",
                "warning",
                f"labels {_some(present)} are not contiguous: there is a gap",
                present[:20],
            )

    def present(self) -> list[int]:
        """The values that occur, in ascending order."""
        import numpy as np

        found: set[int] = set()
        for plane in self.data:
            flat = plane.ravel()
            ends = np.flatnonzero(flat[1:] != flat[:-1])  # labels come in runs: few of them are worth sorting
            found.update(np.unique(flat[ends]).tolist())
            found.add(int(flat[-1]))
        return sorted(found)

    def require_labels(self, allowed: Collection[int]) -> None:
        """Raise InputError where a voxel carries a label that is neither 0, nor unannotated, nor in "
        "`allowed`."""
        strange = [value for value in self.present() if value not in {0, self.unannotated, *allowed}]
        if strange:
            raise InputError(
                f"holds the labels {_some(strange)}; expected {_some(sorted({0, *allowed}))}", file=self.file
            )

    def require_foreground(self) -> None:
        """Raise InputError for a map without foreground."""
        if not any(value for value in self.present() if value != self.unannotated):
            raise InputError("the label map is empty: no foreground voxel; expected at least one", file=self.file)

    def declare(self, labels: Mapping[int, str]) -> None:
        """Declare the labels that the map should hold, over what its file says."""
        self.labels = {int(value): str(name) for value, name in labels.items()}

    def save(self, path: str | Path) -> None:
        """Write `.nii.gz` (or `.nii`); names and the unannotated value travel inside."""
        write_nifti(path, self.data, self.affine, Note(labels=self.labels, unannotated=self.unannotated))


def _some(values: list[int]) -> str:
    shown = ", ".join(str(value) for value in values[:8])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > 8 else shown
