"""Weights of other projects (`.pt`): tensors only, by torch's restricted unpickler, and never a second try
without it.

A pickle can run code when it is loaded, and a failed load may already have run it. So only the zip container
of `torch.save` is opened, its members must be stored whole with a right checksum, and `weights_only=True`
reads it.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._files import open_origin
from voxfield.findings import Findings

if TYPE_CHECKING:
    import torch

TORCH_ERRORS = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
)


def read_checkpoint(path: str | Path, findings: Findings | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name, on the CPU. Weights that are not finite are a finding."""
    import torch

    origin = open_origin(path)
    inspection = Inspection(origin.path, Findings() if findings is None else findings)
    _check_container(origin.path, inspection)
    try:
        content = torch.load(origin.path, map_location="cpu", weights_only=True)
    except TORCH_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        inspection.refuse(f"its tensors can not be read safely (weights_only): storage or pickle is damaged: {reason}")
    tensors = dict(_tensors("", content))
    if not tensors:
        inspection.refuse("holds no tensor")
    bad = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        inspection.note(
            "non-finite-weights",
            "warning",
            f"tensors {', '.join(bad[:5])} hold NaN or Infinity: the training diverged",
        )
    return tensors


def _check_container(path: Path, inspection: Inspection) -> None:
    if not zipfile.is_zipfile(path):
        inspection.refuse("is a bare pickle or tar, which could run code: refused as unsafe; save it as .safetensors")
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [member.filename for member in archive.infolist() if member.compress_type != zipfile.ZIP_STORED]
            damaged = archive.testzip() if not packed else None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        inspection.refuse(f"its zip container is damaged: {error}")
    if packed:
        inspection.refuse(f"member {packed[0]!r} of its zip container is compressed, which torch never writes: unsafe")
    if damaged:
        inspection.refuse(f"member {damaged!r} of its zip container has a wrong checksum (crc); copy it again")


def _tensors(name: str, content: Any) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    if isinstance(content, torch.Tensor):
        yield name or "tensor", content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(f"{name}.{key}" if name else str(key), value)
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _tensors(f"{name}.{index}" if name else str(index), value)
