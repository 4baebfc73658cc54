"""Model: the weights of a network and everything needed to use them. Never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._safetensors import TensorFile, write_tensors
from voxfield.findings import Findings

if TYPE_CHECKING:
    from typing import Self

    import torch

FACTS = ("family", "architecture", "licence")


class Model(Artifact):
    """Weights and their story; the family that trained them builds the network.

    weights       name -> tensor, on the CPU
    config        JSON: preprocessing, labels, ranges seen in training
    family        which family of stages understands it, such as "segmentation"
    architecture  name of the network within the family
    licence       of the training data
    """

    suffix = ".safetensors"

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        config: Mapping[str, Any],
        *,
        family: str,
        architecture: str,
        licence: str,
    ) -> None:
        super().__init__()
        self._weights: dict[str, torch.Tensor] | None = {
            name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()
        }
        self._source: TensorFile | None = None
        self.config = dict(config)
        self.family, self.architecture, self.licence = family, architecture, licence

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Open a file: header and configuration now, weights when they are first used."""
        model = cls.__new__(cls)
        Artifact.__init__(model)
        findings = Findings() if findings is None else findings
        source = TensorFile(path, limits, findings)
        source.require(cls.kind, ())
        content = source.content
        if not isinstance(content.get("config"), dict) or not all(isinstance(content.get(name), str) for name in FACTS):
            source.inspection.refuse(
                f"its metadata lacks config, {', '.join(FACTS)}; expected a model written by Voxfield"
            )
        model._opened(source.origin, findings)
        model._source, model._weights = source, None
        model.config = content["config"]
        model.family, model.architecture, model.licence = (content[name] for name in FACTS)
        return model

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Name -> tensor, on the CPU; read from the file at first use."""
        if self._weights is None:
            import torch

            source = self._source
            if source is None:
                raise RuntimeError("a model has weights or a file to read them from")
            found = {name: torch.from_numpy(array) for name, array in source.read().items()}
            self._weights = {
                name: tensor.view(torch.bfloat16) if source.dtypes[name] == "BF16" else tensor
                for name, tensor in found.items()
            }
        return self._weights

    def release(self) -> None:
        """Drop the weights; they are read again when they are next used. Without a file they stay."""
        if self._source is not None:
            self._weights = None

    def save(self, path: str | Path) -> None:
        """Write `.safetensors`, with configuration and a checksum in its metadata."""
        import torch

        halves = {name for name, tensor in self.weights.items() if tensor.dtype == torch.bfloat16}
        arrays = {
            name: (tensor.view(torch.int16) if name in halves else tensor).numpy()
            for name, tensor in self.weights.items()
        }
        content = {"kind": self.kind, "config": self.config, **{name: getattr(self, name) for name in FACTS}}
        write_tensors(path, arrays, content, dict.fromkeys(halves, "BF16"))

    def _check(self, inspection: Inspection) -> None:
        import torch

        if not self.weights:
            inspection.refuse("holds no weights")
        bad = [name for name, tensor in self.weights.items() if not bool(torch.isfinite(tensor).all())]
        if bad:
            inspection.refuse(
                f"weights {', '.join(bad[:5])} hold NaN or Infinity: the training diverged; train it again"
            )
