"""What a segmentation model carries besides its weights: the plan by which a scan becomes the network's
input.

The plan is JSON in the model file and is judged when it is read, since a file may come from anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from voxfield.errors import InputError
from voxfield.segmentation._preprocess import SAME_SPACING, Normalisation
from voxfield.segmentation._settings import Extra, Margin

FAMILY = "segmentation"
SCHEMA = 1
PERCENTILES = (0.5, 50.0, 99.5)
# Beyond the training scans' percentiles by this share of their whole span, a scan counts as unlike them.
INTENSITY_MARGIN = 0.25


@dataclass(frozen=True)
class Ranges:
    """What the training scans looked like: lowest and highest value over scans.

    spacing_mm   two (3,) rows, along R, A, S
    shape        two (3,) rows, voxels along R, A, S
    percentiles  two rows: intensities at `PERCENTILES`, after normalisation
    """

    spacing_mm: tuple[tuple[float, ...], tuple[float, ...]]
    shape: tuple[tuple[int, ...], tuple[int, ...]]
    percentiles: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Plan:
    """How scans are brought to a network and what its classes mean.

    architecture   name and arguments of the network
    patch          (3,) voxels of a window
    spacing_mm     (3,) along R, A, S
    normalisation  of intensities
    labels         label value -> name; class k of the network is the k-th of them, class 0 the background
    ranges         what training saw
    extras         what the network sees besides the intensities
    lung_margin_mm  (3,) around the hull of the lungs, along R, A, S, outside of which nothing is looked at (see
                    `_region`); None for the whole scan
    """

    architecture: str
    arguments: dict[str, Any]
    patch: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    normalisation: Normalisation
    labels: dict[int, str]
    ranges: Ranges
    extras: tuple[Extra, ...] = ()
    lung_margin_mm: Margin | None = None

    def as_config(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "schema": SCHEMA,
            "arguments": dict(self.arguments),
            "patch": list(self.patch),
            "spacing_mm": list(self.spacing_mm),
            "orientation": "RAS",
            "extras": list(self.extras),
            "lung_margin_mm": None if self.lung_margin_mm is None else list(self.lung_margin_mm),
            "normalisation": {
                "mode": self.normalisation.mode,
                "centre": self.normalisation.centre,
                "scale": self.normalisation.scale,
            },
            "labels": [[value, name] for value, name in self.labels.items()],
            "ranges": {
                "spacing_mm": _lists(self.ranges.spacing_mm),
                "shape": _lists(self.ranges.shape),
                "percentiles": list(PERCENTILES),
                "intensity": _lists(self.ranges.percentiles),
            },
        }

    @classmethod
    def from_config(cls, architecture: str, config: Mapping[str, Any]) -> "Plan":
        """Read a plan; raises InputError where it is not one."""
        if config.get("schema") != SCHEMA or config.get("orientation") != "RAS":
            raise InputError(
                f"model configuration has schema {config.get('schema')!r} and orientation "
                f"{config.get('orientation')!r}; expected {SCHEMA} and 'RAS'"
            )
        try:
            return _read(architecture, config)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"model configuration is damaged: {type(error).__name__} {error}") from None

    def remarks(self, spacing: Sequence[float], percentiles: Sequence[float]) -> list[tuple[str, str, list[float]]]:
        """Where a scan lies outside the ranges seen: (code, message, values).

        spacing      (3,) mm along R, A, S
        percentiles  at `PERCENTILES`, after normalisation
        """
        remarks = []
        low, high = self.ranges.spacing_mm
        ends = list(zip(spacing, low, high, strict=True))
        if any(not a * (1 - SAME_SPACING) <= s <= b * (1 + SAME_SPACING) for s, a, b in ends):
            text = f"spacing is {_text(spacing)} mm along R, A, S; the model saw {_text(low)} to {_text(high)}"
            remarks.append(("spacing-outside-training", text, list(spacing)))
        low, high = self.ranges.percentiles
        margin = INTENSITY_MARGIN * (max(high) - min(low))
        if any(not a - margin <= p <= b + margin for p, a, b in zip(percentiles, low, high, strict=True)):
            text = (
                f"normalised intensities at the percentiles {_text(PERCENTILES)} are {_text(percentiles)}; "
                f"the model saw {_text(low)} to {_text(high)}"
            )
            remarks.append(("intensity-outside-training", text, list(percentiles)))
        return remarks


def _read(architecture: str, config: Mapping[str, Any]) -> Plan:
    mode = config["normalisation"]
    if mode["mode"] not in ("volume", "cohort"):
        raise ValueError(f"normalisation {mode['mode']!r}")
    ranges = config["ranges"]
    extras = tuple(config.get("extras", ()))
    if not set(extras) <= set(get_args(Extra)):
        raise ValueError(f"extras {list(extras)}")
    labels = {int(value): str(name) for value, name in config["labels"]}
    margin = config.get("lung_margin_mm")
    patch = _triple([int(n) for n in config["patch"]], 1, 1024)
    spacing = _triple([float(s) for s in config["spacing_mm"]], 1e-6, 1e6)
    if not labels or min(labels) < 1 or config["arguments"].get("classes") != len(labels) + 1:
        raise ValueError(f"labels {sorted(labels)} for {config['arguments'].get('classes')!r} classes")
    return Plan(
        architecture=architecture,
        arguments=dict(config["arguments"]),
        patch=(int(patch[0]), int(patch[1]), int(patch[2])),
        spacing_mm=spacing,
        normalisation=Normalisation(mode["mode"], float(mode["centre"]), float(mode["scale"])),
        labels=labels,
        ranges=Ranges(
            _pair(ranges["spacing_mm"], float), _pair(ranges["shape"], int), _pair(ranges["intensity"], float)
        ),
        extras=extras,
        lung_margin_mm=None if margin is None else _triple([float(m) for m in margin], 0, 1e4),
    )


def _triple(values: Sequence[float], low: float, high: float) -> tuple[float, float, float]:
    if len(values) != 3 or not all(low <= v <= high for v in values):
        raise ValueError(f"{list(values)} is not three numbers within [{low}, {high}]")
    return values[0], values[1], values[2]


def _pair(rows: Sequence[Sequence[Any]], number: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    low, high = (tuple(number(v) for v in row) for row in rows)
    if len(low) != 3 or len(high) != 3:
        raise ValueError(f"{rows} is not two rows of three numbers")
    return low, high


def _lists(rows: tuple[tuple[Any, ...], tuple[Any, ...]]) -> list[list[Any]]:
    return [list(row) for row in rows]


def _text(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"
