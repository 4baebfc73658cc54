"""From image artifacts and feature tables to arrays, one scan at a time."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Image, Model, Table
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.grading.inputs import InputGrid, Scaler, normalise, ras_axes, resample, scan_summary, to_ras

Floats = NDArray[np.float64]


def choose_grid(images: Sequence[Image], cells: int) -> InputGrid:
    """The isotropic grid whose longest side has `cells` cells and which holds the median field of view.

    An axis along which every image has one voxel stays one cell: images in a plane. The grid is never finer
    than the scans: there is nothing to see between voxels.
    """
    shapes, spacings = (np.array(parts) for parts in zip(*map(_ras_geometry, images), strict=True))
    wide = ~(shapes == 1).all(axis=0)
    if not wide.any():
        raise InputError("every image is a single voxel; there is nothing to grade")
    extent, finest = np.median(shapes * spacings, axis=0), np.median(spacings[:, wide].min(axis=1))
    cell = max(float(extent[wide].max()) / cells, float(finest))
    shape = [math.ceil(round(extent[a] / cell, 3)) if wide[a] else 1 for a in range(3)]
    spacing = [cell if wide[a] else float(np.median(spacings[:, a])) for a in range(3)]
    return InputGrid((shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2]))


def read_scan(image: Image, grid: InputGrid) -> tuple[NDArray[np.float32], Floats]:
    """One scan on the grid, normalised, (x, y, z), and its summary (12,)."""
    data = np.asarray(image.data)
    if data.ndim != 3:
        raise InputError(f"an image to grade is (x, y, z); this one has shape {data.shape}", file=image.file)
    volume, spacing = to_ras(data, image.affine)
    return normalise(resample(volume, spacing, grid)), scan_summary(volume, spacing)


def read_scans(images: Iterable[Image], grid: InputGrid) -> tuple[NDArray[np.float32], Floats]:
    """All scans, (n, x, y, z) and (n, 12); voxels are dropped again as soon as they were used."""
    volumes, summaries = [], []
    for image in images:
        volume, summary = read_scan(image, grid)
        image.release()
        volumes.append(volume)
        summaries.append(summary)
    return np.stack(volumes), np.stack(summaries)


def feature_rows(tables: Sequence[Table], subjects: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Feature names and values (n, f), NaN where missing, in the order of the subjects.

    tables  one table with a column `subject`, or one table of one row for each subject
    """
    if len(tables) == 1 and "subject" in tables[0].columns:
        rows = {str(row["subject"]): row for row in tables[0].rows()}
        if len(rows) < len(tables[0]):
            most = Counter(map(str, tables[0].column("subject"))).most_common(1)[0]
            raise InputError(f"has {most[1]} rows of subject {most[0]}; expected one for each", file=tables[0].file)
        missing = [s for s in subjects if s not in rows]
        if missing:
            raise InputError(
                f"features lack {len(missing)} of {len(subjects)} subjects, the first is {missing[0]}",
                file=tables[0].file,
            )
        ordered = [rows[s] for s in subjects]
    else:
        if len(tables) != len(subjects):
            raise InputError(
                f"{len(tables)} feature tables for {len(subjects)} rows of the cohort; expected one of "
                "one row for each, or a single table with a column 'subject'"
            )
        ordered = [single_row(table) for table in tables]
    names = tuple(name for name in ordered[0] if name != "subject")
    return names, np.array([values_of(row, names) for row in ordered])


def single_row(table: Table) -> dict[str, object]:
    """The row of a table that must have one."""
    rows = table.rows()
    if len(rows) != 1:
        raise InputError(f"has {len(rows)} rows; a subject's features are one row", file=table.file)
    return rows[0]


def scan_features(scaler: Scaler | None, features: Table | None, model: Model, ctx: Context) -> Floats | None:
    """The features (1, f) of one scan that a model wants, NaN where missing; None where it wants none.

    Raises InputError where they are not given; a value that never lacked in training is told as `feature-missing`.
    """
    if scaler is None:
        return None
    if features is None:
        message = "was trained with features and none were given; give the table that grading.features writes"
        raise InputError(message, file=model.file)
    row = single_row(features)
    absent = [name for name in scaler.columns if name not in row]
    if absent:
        raise InputError(f"has no column {', '.join(absent)}, which the model was trained with", file=features.file)
    values = np.array([values_of(row, scaler.columns)])
    missing = [
        name
        for name, value in zip(scaler.columns, values[0], strict=True)
        if np.isnan(value) and name not in scaler.flagged
    ]
    if missing:
        message = f"{', '.join(missing)} n/a, never so in training: the training's mean stands in"
        ctx.finding("feature-missing", "warning", message, file=features.file, value=missing)
    return values


def values_of(row: dict[str, object], names: Sequence[str]) -> list[float]:
    """Numbers of a row by name, NaN where missing or absent; text is refused."""
    values = []
    for name in names:
        value = row.get(name)
        if value is not None and not isinstance(value, int | float):
            raise InputError(f"feature {name!r} is {value!r}; features are numbers or n/a")
        values.append(math.nan if value is None else float(value))
    return values


def _ras_geometry(image: Image) -> tuple[list[int], Floats]:
    order, _, spacing = ras_axes(image.affine)
    return [image.grid.shape[axis] for axis in order], spacing
