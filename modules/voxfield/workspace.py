"""Checkpoints of a stage that is still running.

A workspace is the folder `<first output>.work/`. It is keyed by the stage's inputs, settings and code: a checkpoint
of another key is thrown away, never mixed in. It survives a kill and is removed when the stage succeeds.
"""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


class Workspace:
    """Named checkpoints of tensors and JSON state; without a folder nothing is kept.

    folder   where checkpoints lie, or None for a stage called in memory
    key      identifies inputs, settings and code; checkpoints of another key are discarded
    """

    def __init__(self, folder: Path | None = None, key: str = "") -> None:
        self.folder = folder
        self.key = key

    def load(self, name: str) -> "tuple[dict[str, torch.Tensor], dict[str, Any]] | None":
        """The last checkpoint of that name, or None where there is none of this key."""
        if self.folder is None:
            return None
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                meta = file.metadata() or {}
                if meta.get("key") != self.key:
                    return None
                tensors = {entry: file.get_tensor(entry) for entry in file.keys()}  # noqa: SIM118
        except SafetensorError:
            return None  # a damaged checkpoint costs time, not correctness
        return tensors, json.loads(meta["state"])

    def save(self, name: str, tensors: "Mapping[str, torch.Tensor]", state: "Mapping[str, Any]") -> None:
        """Write a checkpoint, atomically: a kill leaves the previous one."""
        if self.folder is None:
            return
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{name}.safetensors"
        partial = self.folder / f".{name}.{os.getpid()}.tmp"
        meta = {"key": self.key, "state": json.dumps(state, allow_nan=False)}
        save_file({entry: tensor.contiguous() for entry, tensor in tensors.items()}, partial, metadata=meta)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)

    def remove(self) -> None:
        """Delete the folder; called after the stage's outputs are in place."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
