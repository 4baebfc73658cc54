"""What the kinds in safetensors share: arrays that are read when they are first used, all at once."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._safetensors import TensorFile, write_tensors
from voxfield.artifacts._values import require_finite
from voxfield.errors import InputError
from voxfield.findings import Findings

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray


class TensorArtifact(Artifact):
    """Named arrays and a unit, in memory or behind a file.

    required  names that every file of the kind holds
    """

    suffix = ".safetensors"
    required: ClassVar[tuple[str, ...]]
    unit: str | None

    def __init__(self, arrays: dict[str, NDArray[Any]], unit: str | None) -> None:
        super().__init__()
        self._arrays: dict[str, NDArray[Any]] | None = arrays
        self._source: TensorFile | None = None
        self.unit = unit
        fault = self._fault(arrays)
        if fault:
            raise InputError(f"{self.kind}: {fault}")

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Open a file: its header is judged now, its arrays are read when they are first used."""
        artifact = cls.__new__(cls)
        Artifact.__init__(artifact)
        findings = Findings() if findings is None else findings
        source = TensorFile(path, limits, findings)
        source.require(cls.kind, cls.required)
        artifact._opened(source.origin, findings)
        artifact._source = source
        artifact._arrays = None
        unit = source.content.get("unit")
        artifact.unit = unit if isinstance(unit, str) else None
        return artifact

    @abstractmethod
    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        """What is wrong with types and shapes, in one sentence; None where nothing is."""

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name; read from the file at first use, then kept until `release`."""
        if self._arrays is None:
            source = self._source
            if source is None:
                raise RuntimeError("a tensor artifact has arrays or a file to read them from")
            arrays = source.read()
            fault = self._fault(arrays)
            if fault:
                source.inspection.refuse(fault)
            self._arrays = arrays
        return self._arrays

    def release(self) -> None:
        """Drop the arrays; they are read again when they are next used. Without a file they stay."""
        if self._source is not None:
            self._arrays = None

    def save(self, path: str | Path) -> None:
        """Write `.safetensors`, with kind, unit and a checksum in its metadata."""
        write_tensors(path, self.arrays, {"kind": self.kind, "unit": self.unit})

    def _check(self, inspection: Inspection) -> None:
        for name, array in self.arrays.items():
            if array.dtype.kind == "f" and array.size:
                require_finite(array, inspection, f"values of {name!r}")
