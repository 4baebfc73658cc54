"""What the three kinds of NIfTI artifact share: a grid, and voxels that are read when they are first used."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._grid import Grid
from voxfield.artifacts._nifti._reader import NiftiFile
from voxfield.errors import InputError
from voxfield.findings import Findings

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from voxfield.artifacts._nifti._header import Header

THIN = 3  # voxels along an axis below which there is no second difference


class Volume(Artifact):
    """Voxels on a grid, in memory or behind a file."""

    suffix = ".nii.gz"

    def __init__(self, data: NDArray[Any], affine: ArrayLike) -> None:
        super().__init__()
        self.grid = Grid(data.shape[:3], affine)
        self._data: NDArray[Any] | None = data
        self._source: NiftiFile | None = None

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Open a file: its header is judged now, its voxels when `data` or `check` first need them."""
        volume = cls.__new__(cls)
        Artifact.__init__(volume)
        findings = Findings() if findings is None else findings
        source = NiftiFile(path, limits, findings)
        volume._opened(source.origin, findings)
        shape = cls._expected_shape(source.header, source.inspection)
        volume.grid = Grid(shape[:3], source.header.affine)
        volume._shape = shape
        volume._data = None
        volume._source = source
        volume._from_header(source.header)
        _note_thin(volume.grid, source.inspection)
        return volume

    _shape: tuple[int, ...]

    @classmethod
    @abstractmethod
    def _expected_shape(cls, header: Header, inspection: Inspection) -> tuple[int, ...]:
        """The shape of `data` for a header; refuses dimensions that the kind does not have."""

    @abstractmethod
    def _from_header(self, header: Header) -> None:
        """Take over what the header says besides the grid."""

    @abstractmethod
    def _convert(self, stored: NDArray[Any], header: Header, inspection: Inspection) -> NDArray[Any]:
        """Stored voxels to values of this kind; refuses those that it can not have."""

    @abstractmethod
    def _judge(self, data: NDArray[Any], inspection: Inspection) -> None:
        """Note what is odd about the values, refuse what is impossible."""

    @property
    def data(self) -> NDArray[Any]:
        """The values. Read from the file at first use, then kept until `release`."""
        if self._data is None:
            source = self._source
            if source is None:
                raise RuntimeError("a volume has values or a file to read them from")
            stored = source.read().reshape(self._shape, order="F")
            self._data = self._convert(stored, source.header, source.inspection)
        return self._data

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel index to world, mm, RAS+."""
        return self.grid.affine

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `data`, known without reading it."""
        return self._shape if self._data is None else self._data.shape

    @property
    def stored_bytes(self) -> int:
        """Bytes of the voxels in the file, unpacked; 0 without a file."""
        return 0 if self._source is None else self._source.header.voxel_bytes

    def release(self) -> None:
        """Drop the values; they are read again when they are next used. Without a file they stay."""
        if self._source is not None:
            self._data = None

    def _check(self, inspection: Inspection) -> None:
        self._judge(self.data, inspection)

    def __repr__(self) -> str:
        where = f", file={self.file.name!r}" if self.file else ""
        return f"{type(self).__name__}(shape={self.shape}, {self.grid!r}{where})"


def as_array(data: ArrayLike, kind: str) -> NDArray[Any]:
    """An array of numbers from whatever was given; raises InputError for objects, text and nothing at all."""
    import numpy as np

    array = np.asarray(data)
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise InputError(f"{kind}: expected an array of real numbers; found dtype {array.dtype}, shape {array.shape}")
    return array


def _note_thin(grid: Grid, inspection: Inspection) -> None:
    """Two slices are a mistake or a problem; one is a plane."""
    least = min((extent for extent in grid.shape if extent > 1), default=THIN)
    if least < THIN:
        inspection.note(
            "thin-volume",
            "warning",
            f"has only {least} voxels along one axis ({' x '.join(map(str, grid.shape))})",
        )
