"""The stages of io keep the promises of a stage."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from voxfield.artifacts import Artifact, RawFile
from voxfield.testing import StageContract

pytest.importorskip("SimpleITK")


class TestConvert(StageContract):
    """A small NRRD file, written by hand and recognised without its suffix."""

    name = "io.convert"

    folder: ClassVar[tempfile.TemporaryDirectory[str]]

    @classmethod
    def setup_class(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 4 5\nencoding: raw\nendian: little\n\n"
        Path(cls.folder.name, "a.nrrd").write_bytes(header.encode() + bytes(range(60)))

    @classmethod
    def teardown_class(cls) -> None:
        cls.folder.cleanup()

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        return {"source": RawFile(Path(self.folder.name, "a.nrrd"))}
