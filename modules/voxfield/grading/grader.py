"""A trained grader: network, temperature, conformal scores, familiarity; and its form as an artifact."""

from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from voxfield.artifacts import Model
from voxfield.errors import InputError
from voxfield.grading.calibration import Temperature
from voxfield.grading.conformal_predictor import ConformalPredictor, CoverageOf
from voxfield.grading.covariate_shift import Shift
from voxfield.grading.examples import Examples
from voxfield.grading.familiarity import Bank
from voxfield.grading.inputs import InputGrid, Scaler
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet, infer

Floats = NDArray[np.float64]
FAMILY = "grading"
CONFORMAL = ("scores", "embedding", "grade_scores", "grade")  # what a model keeps of the calibration patients
SHIFT = ("mean", "axes", "weights")


@dataclass
class Grader:
    """Everything that turns a scan and its features into a grade and a set.

    grid         what the network sees of a scan; None where it sees features only
    scaler       of the features; None where it sees the scan only
    temperature  see `calibration`
    conformal    what the calibration patients say; coverage and coverage_of, at which the training judged it
    scan_bank, embedding_bank   see `familiarity`
    examples     whose scans the points of the embedding bank are
    notes        what else a reader of the model should know, JSON
    """

    network: Any
    network_config: dict[str, Any]
    grades: int
    grid: InputGrid
    uses_image: bool
    scaler: Scaler | None
    temperature: Temperature
    conformal: ConformalPredictor
    coverage: float
    coverage_of: CoverageOf
    scan_bank: Bank | None
    embedding_bank: Bank | None
    notes: dict[str, Any]
    examples: Examples | None = None

    def rows(self, volumes: NDArray[np.float32], features: Floats | None, grades: ArrayLike) -> TrainingSet:
        """What the network sees of volumes (n, x, y, z), features (n, f) and grades (n,), -1 unknown."""
        images = torch.from_numpy(self.grid.as_input(volumes)) if self.uses_image else None
        table = None
        if self.scaler is not None and features is not None:
            table = torch.from_numpy(self.scaler.apply(features))
        count = 0 if self.scaler is None else len(self.scaler.columns)
        return TrainingSet(images, table, torch.as_tensor(np.asarray(grades, dtype=np.int64)), self.grades, count)

    def look(self, data: TrainingSet, device: Any) -> tuple[Floats, Floats]:
        """Probabilities before temperature (n, k), and embeddings (n, d)."""
        log_probability, embedding = infer(self.network, data, device)
        return np.exp(log_probability), embedding

    def calibrated(self, raw: Floats) -> Floats:
        """Calibrated probabilities (n, k) from raw ones."""
        return self.temperature.apply(raw)

    def to_model(self, licence: str) -> Model:
        """The artifact: weights, scores and banks as tensors, the rest as JSON."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"conformal.{name}": torch.from_numpy(np.ascontiguousarray(getattr(self.conformal, name)))
                    for name in CONFORMAL}  # fmt: skip
        config: dict[str, Any] = {
            "network": self.network_config,
            "grades": self.grades,
            "grid": {"shape": list(self.grid.shape), "spacing_mm": list(self.grid.spacing_mm)},
            "uses_image": self.uses_image,
            "features": None if self.scaler is None else asdict(self.scaler),
            "temperature": asdict(self.temperature),
            "score": self.conformal.score,
            "coverage": self.coverage,
            "coverage_of": self.coverage_of,
            "shift": None,
            "notes": self.notes,
            "examples": None if self.examples is None else asdict(self.examples),
        }
        if self.conformal.shift is not None:
            facts = asdict(self.conformal.shift)
            tensors |= {f"shift.{name}": torch.from_numpy(np.ascontiguousarray(facts.pop(name))) for name in SHIFT}
            config["shift"] = facts
        for name, bank in (("scan", self.scan_bank), ("embedding", self.embedding_bank)):
            if bank is not None:
                parts = {"points": bank.points, "mean": bank.mean, "sd": bank.sd}
                tensors |= {f"{name}.{part}": torch.from_numpy(np.ascontiguousarray(v)) for part, v in parts.items()}
                config[f"{name}_bank"] = {"limit": bank.limit, "neighbours": bank.neighbours}
        architecture = str(self.network_config["name"])
        return Model(tensors, config, family=FAMILY, architecture=architecture, licence=licence)

    @classmethod
    def from_model(cls, model: Model, device: Any) -> "Grader":
        """The grader behind a model artifact; raises InputError for a model of another family."""
        if model.family != FAMILY:
            raise InputError(
                f"is a model of the family {model.family!r}; expected one that grading.train wrote",
                file=model.file,
            )
        config, weights = model.config, model.weights
        try:
            network = build(config["network"], seed=0)
            network.load_state_dict(_below(weights, "network."))
            scaler = config["features"]
            return cls(
                network.to(device).eval(),
                config["network"],
                int(config["grades"]),
                InputGrid(tuple(config["grid"]["shape"]), tuple(config["grid"]["spacing_mm"])),
                bool(config["uses_image"]),
                None if scaler is None else Scaler(**{k: tuple(v) for k, v in scaler.items()}),
                Temperature(**config["temperature"]),
                _conformal(config, weights),
                float(config["coverage"]),
                cast(CoverageOf, config["coverage_of"]),
                _bank("scan", config, weights),
                _bank("embedding", config, weights),
                dict(config["notes"]),
                _examples(config["examples"]),
            )
        except (KeyError, TypeError, RuntimeError) as error:
            message = f"is no complete grading model ({type(error).__name__}: {error}); train it again"
            raise InputError(message, file=model.file) from error


def _conformal(config: dict[str, Any], weights: dict[str, Tensor]) -> ConformalPredictor:
    shift = config["shift"]
    if shift is not None:
        shift = Shift(**{name: weights[f"shift.{name}"].double().numpy() for name in SHIFT}, **shift)
    arrays = {name: weights[f"conformal.{name}"].numpy() for name in CONFORMAL}
    return ConformalPredictor(config["score"], **arrays, grades=int(config["grades"]), shift=shift)


def _examples(facts: dict[str, Any] | None) -> Examples | None:
    return None if facts is None else Examples(tuple(facts["subjects"]), tuple(map(tuple, facts["grades"])))


def _bank(name: str, config: dict[str, Any], weights: dict[str, Tensor]) -> Bank | None:
    facts = config.get(f"{name}_bank")
    if facts is None:
        return None
    points, mean, sd = (weights[f"{name}.{part}"].double().numpy() for part in ("points", "mean", "sd"))
    return Bank(points, mean, sd, float(facts["limit"]), int(facts["neighbours"]))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
