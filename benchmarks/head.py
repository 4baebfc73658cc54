"""From few sensors on a head to many: the field between them, and what a classifier can still read from it.

A synthetic recording, after the use that RVGP (arXiv 2309.16746) was made for: subjects of two groups, whose scalp
carries moving sources, sinks and vortices; in one group more of the centres are vortices. Of about 256 sensors 32 are
measured, with noise. Every way brings them back to all sensors:

Gaussian process  `voxfield.fields.manifold`, on the mesh of the sensors; settings by the evidence of each frame
thin plate        splines through the noisy vectors, smoothed by generalised cross-validation where that is better,
                  projected on the exact tangent planes
linear            in the flattened cap, where it reaches; the nearest sensor elsewhere; projected too

Error and coverage are those of the sensors that were not measured. Features of a subject are the mean numbers of
sources, sinks, vortices and saddles in a frame (`fields.singularities`); a logistic regression is judged by the area
under the curve over folds that keep subjects together. With the posterior, the numbers are also averaged over samples.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator, RBFInterpolator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from _common import Claim, finish, options
from _recording import Head, frames, head
from voxfield.artifacts import PointSamples
from voxfield.fields import singularities
from voxfield.fields.manifold import farthest_points, fit, from_mesh, modes
from voxfield.intervals import NORMAL_95

Floats = NDArray[np.float64]
SENSORS, MEASURED = 256, 32
NOISE = 0.1
KINDS = ("sources", "sinks", "vortices", "saddles")
OURS, SAMPLED, SPLINE, LINEAR, ALL = "Gaussian process", "its samples", "thin plate", "linear", "all sensors"
SMOOTHING = (0.0, 1e-3, 1e-2, 1e-1, 1.0)
SAMPLES = 16


def thin_plate(scalp: Head, seen: NDArray[np.int64], values: Floats) -> Floats:
    """Splines whose smoothing leaves the least error when each sensor in turn is left out."""
    points = scalp.mesh.vertices / 100
    near, errors = points[seen], []
    for smoothing in SMOOTHING:
        error = 0.0
        for out in range(0, len(seen), 4):
            others = np.arange(len(seen)) != out
            spline = RBFInterpolator(near[others], values[others], kernel="thin_plate_spline", smoothing=smoothing)
            error += float(np.square(spline(near[out : out + 1]) - values[out]).sum())
        errors.append(error)
    best = SMOOTHING[int(np.argmin(errors))]
    return np.asarray(RBFInterpolator(near, values, kernel="thin_plate_spline", smoothing=best)(points))


def linear(scalp: Head, seen: NDArray[np.int64], values: Floats) -> Floats:
    """In the plane of the azimuthal equidistant projection from the top of the head."""
    unit = scalp.mesh.vertices / np.linalg.norm(scalp.mesh.vertices, axis=1, keepdims=True)
    direction = unit[:, :2] / np.maximum(np.linalg.norm(unit[:, :2], axis=1, keepdims=True), 1e-9)
    flat = np.arccos(np.clip(unit[:, 2:], -1, 1)) * direction
    inside = LinearNDInterpolator(flat[seen], values)(flat)
    beyond = np.isnan(inside).any(axis=1)
    inside[beyond] = NearestNDInterpolator(flat[seen], values)(flat[beyond])
    return np.asarray(inside)


def numbers(scalp: Head, fields: Floats) -> Floats:
    """Mean numbers (4,) of each kind in fields (f, n, 3)."""
    # An artifact of samples has sixteen at least; fields that are repeated change no mean.
    times = -(-SAMPLES // len(fields))
    points = PointSamples(scalp.mesh.vertices, np.tile(fields, (times, 1, 1)))
    found = singularities(points, scalp.mesh).metrics.values
    return np.array([found[f"mean_{kind}"] for kind in ("sources", "sinks", "vortices", "saddles")])


def subject(scalp: Head, prepared: Any, group: int, count: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Features of a subject by way, and error, coverage and CPU seconds of its frames."""
    domain, basis, seen = prepared
    truth = frames(scalp, group, count, rng)
    hidden = np.setdiff1d(np.arange(len(domain)), seen)
    got: dict[str, list[Floats]] = {way: [] for way in (OURS, SPLINE, LINEAR)}
    samples, inside, seconds = [], [], dict.fromkeys(got, 0.0)
    normals = scalp.normals

    def tangent(field: Floats) -> Floats:
        return np.asarray(field - (field * normals).sum(axis=1, keepdims=True) * normals)

    for frame in truth:
        values = tangent(frame + NOISE * rng.standard_normal(frame.shape))[seen]
        started = time.process_time()
        posterior = fit(domain, domain.points[seen], values, found=basis)
        found = posterior.predict()
        seconds[OURS] += time.process_time() - started
        got[OURS].append(found.mean)
        inside.append(np.abs(found.mean - frame)[hidden] <= NORMAL_95 * found.sd[hidden])
        samples.append(posterior.sample(SAMPLES, rng))
        for way, run in ((SPLINE, thin_plate), (LINEAR, linear)):
            started = time.process_time()
            got[way].append(tangent(run(scalp, seen, values)))
            seconds[way] += time.process_time() - started
    errors = {
        way: np.linalg.norm(np.stack(fields)[:, hidden] - truth[:, hidden], axis=(1, 2))
        / np.linalg.norm(truth[:, hidden], axis=(1, 2))
        for way, fields in got.items()
    }
    features = {way: numbers(scalp, np.stack(fields)) for way, fields in got.items()}
    features |= {ALL: numbers(scalp, truth), SAMPLED: numbers(scalp, np.concatenate(samples))}
    return features, {"errors": errors, "coverage": float(np.mean(inside)), "seconds": seconds}


def area_under_curve(features: Floats, groups: NDArray[np.int64], seed: int) -> float:
    """Mean over folds of subjects."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=20, random_state=seed)
    return float(cross_val_score(model, features, groups, cv=folds, scoring="roc_auc").mean())


def cohort(seed: int, subjects: int, count: int) -> list[dict[str, Any]]:
    """Rows of one cohort."""
    scalp = head(SENSORS)
    domain = from_mesh(scalp.mesh)
    prepared = (domain, modes(domain, 100, scalar=False), farthest_points(domain.points, MEASURED))
    groups = np.arange(subjects) % 2
    rng = np.random.default_rng(seed)
    made = [subject(scalp, prepared, int(group), count, rng) for group in groups]
    rows = []
    for way in (ALL, OURS, SAMPLED, SPLINE, LINEAR):
        features = np.stack([found[way] for found, _ in made])
        row: dict[str, Any] = {"seed": seed, "way": way, "area under curve": area_under_curve(features, groups, seed)}
        row |= {f"{kind} a frame": float(value) for kind, value in zip(KINDS, features.mean(axis=0), strict=True)}
        if way in made[0][1]["errors"]:
            row["relative L2"] = float(np.mean([facts["errors"][way] for _, facts in made]))
            row["CPU s a frame"] = sum(facts["seconds"][way] for _, facts in made) / (subjects * count)
        if way == OURS:
            row["coverage"] = float(np.mean([facts["coverage"] for _, facts in made]))
        rows.append(row)
    return rows


def main() -> None:
    chosen = options(__doc__ or "")
    subjects, count = (10, 2) if chosen.quick else (60, 20)
    rows = [row for seed in range(1 if chosen.quick else chosen.seeds) for row in cohort(seed, subjects, count)]

    def of(way: str, column: str) -> float:
        return float(np.mean([row[column] for row in rows if row["way"] == way]))

    best = min(of(way, "relative L2") for way in (SPLINE, LINEAR))
    claims = [
        Claim("error over that of the better interpolation", of(OURS, "relative L2") / best, 1.0, "<="),
        Claim("coverage of the sensors between, lower side", of(OURS, "coverage"), 0.92, ">="),
        Claim("coverage of the sensors between, upper side", of(OURS, "coverage"), 0.98, "<="),
    ]
    if not chosen.quick:
        read = max(of(way, "area under curve") for way in (SPLINE, LINEAR))
        gain = max(of(OURS, "area under curve"), of(SAMPLED, "area under curve")) - read
        claims.append(Claim("area under the curve gained over the better interpolation", gain, 0.0, ">="))
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
