"""Folds, trainings and conclusions of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.bootstrap import interval, patient_weights
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.paired import holm, sign_flip_p
from voxfield.segmentation._evaluate import evaluate
from voxfield.segmentation._predict import predict
from voxfield.segmentation._scans import TRAINING, Scan, split
from voxfield.segmentation._train import train
from voxfield.workspace import Workspace

FEWEST = 6  # patients: with 5, the smallest p-value of sign flips is 2 / 2^5 = .0625
MEASURED = ("dice", "cl_dice", "precision", "recall", "tree_length_detected", "branches_detected", "nsd")


class Case(NamedTuple):
    """One scan that is compared on, and its row."""

    row: Mapping[str, Any]
    scan: Scan

    @property
    def patient(self) -> str:
        """Whose scan it is."""
        return self.scan.patient


def cases(cohort: Cohort, images: Sequence[Image], masks: Sequence[LabelMap], lungs: Sequence[LabelMap]) -> list[Case]:
    """The rows of the split "train", or all without the column."""
    rows = [row for row in cohort.rows() if (row.get("split") or TRAINING) == TRAINING]
    scans = split(cohort, images, masks, lungs)[TRAINING]
    return [Case(row, scan) for row, scan in zip(rows, scans, strict=True)]


def deal(patients: Sequence[str], folds: int, rng: np.random.Generator) -> list[set[str]]:
    """Patients of each fold, dealt at random; raises InputError where there are fewer than folds."""
    names = sorted(set(patients))
    if len(names) < folds:
        raise InputError(f"{len(names)} patients can not be dealt into {folds} folds; expected at least one for each")
    order = rng.permutation(len(names))
    return [{names[i] for i in order[fold::folds]} for fold in range(folds)]


def judge(
    method: str, settings: Mapping[str, Any], fold: int, cases: Sequence[Case], held_out: Sequence[set[str]],
    ctx: Context,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train a method without a fold and measure it there, unless that was done before a kill."""
    kept = ctx.workspace.load(f"scores-{method}-{fold}")
    if kept is not None:
        return list(kept[1]["rows"])
    own = replace(ctx, findings=Findings(), workspace=_part(ctx.workspace, f"{method}-{fold}"))
    learnt = [case for case in cases if case.patient not in held_out[fold]]
    columns = {name: [case.row.get(name) for case in learnt] for name in learnt[0].row if name != "split"}
    images, masks = [case.scan.image for case in learnt], [case.scan.mask for case in learnt]
    lungs = [case.scan.lung for case in learnt if case.scan.lung is not None]
    model = train(Cohort(columns), images, masks, lungs, ctx=own, **settings).model
    rows = []
    for case in cases:
        if case.patient in held_out[fold]:
            said = predict(case.scan.image, model, case.scan.lung, ctx=own).mask
            values = evaluate(said, _reference(case.scan), ctx=own).metrics.values
            facts = {"subject": case.row["subject"], "patient": case.patient, "fold": fold, "method": method}
            rows.append({**facts, **{name: values[name] for name in MEASURED}})
            case.scan.image.release()
            case.scan.mask.release()
    ctx.workspace.save(f"scores-{method}-{fold}", {}, {"rows": rows})
    own.workspace.remove()
    return rows


def conclude(
    rows: Sequence[Mapping[str, Any]], methods: Sequence[str], score: str, level: float, draws: int,
    rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Means, differences and a verdict; patients that a method could not be scored on are left out for all."""
    by_method = {method: _per_patient(rows, method, score) for method in methods}
    patients = sorted(set.intersection(*(set(found) for found in by_method.values())))
    if not patients:
        raise InputError(f"no patient has the score {score!r} with every method; masks annotated in part have only "
                         "dice, precision and recall")  # fmt: skip
    values = {method: np.array([by_method[method][p] for p in patients]) for method in methods}
    weights = patient_weights(patients, draws, rng) / len(patients)

    def mean(of: np.ndarray) -> dict[str, float]:
        low, high = interval(weights @ of)
        return {"value": float(of.mean()), "low": low, "high": high}

    pairs = list(combinations(methods, 2))
    chances = holm([sign_flip_p(values[a] - values[b], rng) for a, b in pairs])
    differences = {
        f"{a} - {b}": {**mean(values[a] - values[b]), "p": p} for (a, b), p in zip(pairs, chances, strict=True)
    }
    differ = [name for name, found in differences.items() if found["p"] < level]
    means = {method: mean(values[method]) for method in methods}
    return {
        "patients": len(patients), "methods": means, "differences": differences, "differ": differ,
        "verdict": _verdict(means, differences, differ, score, len(patients)),
    }  # fmt: skip


def _verdict(
    means: Mapping[str, Mapping[str, float]], differences: Mapping[str, Mapping[str, float]], differ: Sequence[str],
    score: str, patients: int,
) -> str:  # fmt: skip
    if not differ:
        best = max(means, key=lambda method: means[method]["value"])
        return (
            f"no two methods differ in {score} over {patients} patients; the highest mean is that of {best}, "
            f"{means[best]['value']:.3f}"
        )
    told = [f"{name} = {differences[name]['value']:+.3f} (p {differences[name]['p']:.2g})" for name in differ]
    return f"{score} differs over {patients} patients: " + "; ".join(told)


def _per_patient(rows: Sequence[Mapping[str, Any]], method: str, score: str) -> dict[str, float]:
    """Mean of a score over the scans of each patient that have it."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["method"] == method and row[score] is not None:
            found.setdefault(row["patient"], []).append(row[score])
    return {patient: float(np.mean(values)) for patient, values in found.items()}


def _reference(scan: Scan) -> LabelMap:
    """The mask, with the unannotated value that the cohort gives it."""
    mask = scan.mask
    if mask.unannotated == scan.unannotated:
        return mask
    return LabelMap(mask.data, mask.affine, labels=mask.labels, unannotated=scan.unannotated)


def _part(workspace: Workspace, name: str) -> Workspace:
    """A workspace of its own for one training."""
    return Workspace(None if workspace.folder is None else workspace.folder / name, workspace.key)
