"""Are the zeros of a field found, and is their probability honest? `fields.singularities` against noise.

Two questions. *Known zeros*: fields on sphere and torus whose zeros are known from calculus are observed at 30 % of the
vertices with noise; a Gaussian process is sampled, `fields.fit` or an exact one of fixed shape, settings by evidence,
and we print the probability that the stage gives to the true index at the true place (the most probable cluster of that
index within two mean spacings or twice the stated spread; 0 where there is none), and how many clusters of probability
one half or more stand where nothing is. *Calibration*: truths are drawn from the prior itself, so that the samples are
right by construction; of all clusters with a stated probability in a bin, which share is true?

In every sample of every run the indices must sum to the Euler characteristic.

Classical reference, in the same run: the zeros of the posterior mean alone, which have no probability; printed are the
shares of true zeros that it finds and of its zeros that are false.
"""

import time
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

from _common import Claim, finish, options
from _surfaces import closed, spacing, tangential
from voxfield.artifacts import Mesh, PointSamples
from voxfield.fields import singularities
from voxfield.fields.manifold import fit, from_mesh
from voxfield.fields.singularity._search import on_surface
from voxfield.fields.surface._connection import vertex_frames

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
OBSERVED = 0.3
SAMPLES = 64
LENGTHS = (0.4, 0.6, 0.9, 1.3, 2.0)
NOISES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
KNOWN = (0.6, 0.5, 1.0)  # length, noise and scale where the truth is a draw
MODELS = ("fields.fit", "exact")
BINS = np.linspace(0, 1, 6)


@dataclass(frozen=True)
class Case:
    """A tangent field on a surface, and places (k, 3) and indices (k,) of its zeros."""

    name: str
    mesh: Mesh
    field: Floats
    places: Floats
    indices: tuple[int, ...]


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    seeds = 1 if chosen.quick else chosen.seeds
    sums: list[int] = []
    rows = []
    for case in cases(coarse=chosen.quick):
        for noise in (0.1, 0.8) if chosen.quick else (0.1, 0.4, 0.8, 1.6, 3.2):
            rows += [known_zeros(case, model, noise, seeds, sums) for model in MODELS]
    bins = calibration(closed("sphere", 400 if chosen.quick else 600), 4 if chosen.quick else 20 * seeds, sums)
    share = [abs(row["stated"] - row["true"]) * row["clusters"] for row in bins]
    gentle = [row["P(true index, true place)"] for row in rows if row["noise"] == 0.1]
    claims = [
        Claim("samples whose index sum is not the Euler characteristic", float(sum(sums)), 0, "<="),
        Claim("least probability of the true index at the true place, 10 % noise", min(gentle), 0.9, ">="),
        Claim(
            "mean distance of stated from true share", sum(share) / sum(row["clusters"] for row in bins),
            0.2 if chosen.quick else 0.1, "<=",
        ),
    ]  # fmt: skip
    finish(chosen, claims, rows, bins)


def known_zeros(case: Case, model: str, noise: float, seeds: int, sums: list[int]) -> dict[str, Any]:
    """One row of the first table: means over seeds and zeros."""
    found, extra, spread, mean_found, mean_false, seconds = [], [], [], [], [], 0.0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        mean, samples = posterior(case, model, noise, rng)
        started = time.process_time()
        made = singularities(PointSamples(case.mesh.vertices, samples), case.mesh, min_probability=0)
        seconds += time.process_time() - started
        sums.append(sums_wrong(made.metrics.values))
        clusters = made.clusters.rows()
        near = [[reaches(case, row, place) for place in case.places] for row in clusters]
        for number, index in enumerate(case.indices):
            hits = [row for row, reach in zip(clusters, near, strict=True) if reach[number] and row["index"] == index]
            found.append(max((row["probability"] for row in hits), default=0.0))
            spread.append(max(hits, key=lambda row: row["probability"])["spread_mm"] if hits else np.nan)
        extra.append(sum(r["probability"] >= 0.5 and not any(reach) for r, reach in zip(clusters, near, strict=True)))
        hit, false = zeros_of_mean(case, mean)
        mean_found.append(hit)
        mean_false.append(false)
    return {
        "field": case.name, "model": model, "noise": noise, "P(true index, true place)": float(np.mean(found)),
        "least": float(np.min(found)), "spread / spacing": float(np.nanmean(spread)) / spacing(case.mesh),
        "false clusters, P >= .5": float(np.mean(extra)), "zeros found, mean alone": float(np.mean(mean_found)),
        "false zeros, mean alone": float(np.mean(mean_false)), "CPU s": seconds / seeds,
    }  # fmt: skip


def reaches(case: Case, row: dict[str, Any], place: Floats) -> bool:
    """Whether a cluster stands at a place, as surely as it says where it is."""
    away = np.linalg.norm(place - [row["x_mm"], row["y_mm"], row["z_mm"]])
    return bool(away <= max(2 * spacing(case.mesh), 2 * row["spread_mm"]))


def zeros_of_mean(case: Case, mean: Floats) -> tuple[float, int]:
    """Share of the true zeros within two spacings of one of the mean field, and how many others that has."""
    cells, zeros = on_surface(case.mesh, [mean.astype(np.float32)])
    near = cdist(case.places, cells.centres[zeros.cell]) <= 2 * spacing(case.mesh)
    near &= np.array(case.indices)[:, None] == zeros.index
    return float(near.any(axis=1).mean()), int((~near.any(axis=0)).sum())


def calibration(mesh: Mesh, fields: int, sums: list[int]) -> list[dict[str, Any]]:
    """Stated probability against the share of clusters that hold a true zero of their index."""
    tangent, stated, true = Tangent(mesh), [], []
    prior = tangent.kernel(KNOWN[0])
    for seed in range(fields):
        rng = np.random.default_rng(1000 + seed)
        truth = draws(prior, 1, rng)[0]
        rows = seen_rows(len(mesh.vertices), rng)
        observed = truth[rows] + KNOWN[1] * rng.standard_normal(rows.size)
        samples = tangent.world(tangent.condition(observed, rows, KNOWN, rng)[1])
        made = singularities(PointSamples(mesh.vertices, samples), mesh, min_probability=0.02)
        sums.append(sums_wrong(made.metrics.values))
        cells, zeros = on_surface(mesh, [tangent.world(truth).astype(np.float32)])
        for row in made.clusters.rows():
            reach = max(2 * spacing(mesh), 2 * row["spread_mm"])
            away = np.linalg.norm(cells.centres[zeros.cell] - [row["x_mm"], row["y_mm"], row["z_mm"]], axis=1)
            stated.append(row["probability"])
            true.append(zeros.index[away <= reach].sum() == row["index"])
    place = np.clip(np.digitize(stated, BINS) - 1, 0, len(BINS) - 2)
    return [
        {
            "bin": f"{BINS[b]:.1f} to {BINS[b + 1]:.1f}", "clusters": int((place == b).sum()),
            "stated": float(np.mean(np.array(stated)[place == b])), "true": float(np.mean(np.array(true)[place == b])),
        }
        for b in np.unique(place)
    ]  # fmt: skip


def sums_wrong(facts: dict[str, Any]) -> int:
    """1 where the index sum of any sample is not the Euler characteristic."""
    ends = {facts["index_sum_smallest"], facts["index_sum_largest"]}
    return int(ends != {facts["euler_characteristic"]})


class Tangent:
    """An exact Gaussian process of tangent vectors: T(x)^T T(x') exp(-|x - x'|^2 / 2 l^2) in tangent axes T (3, 2)."""

    def __init__(self, mesh: Mesh) -> None:
        self.frames = vertex_frames(mesh)
        self.products = np.einsum("ndk,mdl->nkml", self.frames, self.frames)
        self.squared = cdist(mesh.vertices, mesh.vertices, "sqeuclidean")

    def kernel(self, length: float) -> Floats:
        """(2n, 2n), of unit variance."""
        near = np.exp(-0.5 * self.squared / length**2)
        full: Floats = (self.products * near[:, None, :, None]).reshape(2 * len(near), -1)
        return full

    def world(self, values: Floats) -> Floats:
        """(..., n, 3) from values (..., 2n) in tangent axes."""
        return np.einsum("...nk,ndk->...nd", values.reshape(*values.shape[:-1], -1, 2), self.frames)

    def fit(self, observed: Floats, rows: Integers) -> tuple[float, float, float]:
        """Length, noise (relative) and scale of the greatest evidence."""

        def evidence(length: float, noise: float) -> tuple[float, float]:
            factor = np.linalg.cholesky(self.kernel(length)[np.ix_(rows, rows)] + noise**2 * np.eye(rows.size))
            white = solve_triangular(factor, observed, lower=True)
            variance = float(white @ white) / rows.size
            return float(-0.5 * rows.size * np.log(variance) - np.log(np.diag(factor)).sum()), np.sqrt(variance)

        found = {model: evidence(*model) for model in product(LENGTHS, NOISES)}
        length, noise = max(found, key=lambda model: found[model][0])
        return length, noise, found[length, noise][1]

    def condition(
        self, observed: Floats, rows: Integers, model: tuple[float, float, float], rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Mean (2n,) and samples (s, 2n) given some of the values."""
        length, noise, scale = model
        kernel = self.kernel(length)
        factor = cho_factor(kernel[np.ix_(rows, rows)] + noise**2 * np.eye(rows.size))
        gain = cho_solve(factor, kernel[rows]).T
        drawn = draws(kernel - gain @ kernel[rows], SAMPLES, rng)
        return gain @ observed, gain @ observed + scale * drawn


def draws(covariance: Floats, count: int, rng: np.random.Generator) -> Floats:
    """(count, n) Gaussian draws by the symmetric root, which a singular covariance has too."""
    values, vectors = np.linalg.eigh(covariance)
    white = rng.standard_normal((count, len(values)))
    return (white * np.sqrt(np.maximum(values, 0))) @ vectors.T


def seen_rows(count: int, rng: np.random.Generator) -> Integers:
    """Rows of the tangent values at a random share of the vertices."""
    seen = np.sort(rng.permutation(count)[: int(OBSERVED * count)])
    rows: Integers = (2 * seen[:, None] + [0, 1]).ravel()
    return rows


def posterior(case: Case, model: str, noise: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mean (n, 3) and samples (s, n, 3) for noisy observations; settings by evidence."""
    tangent = Tangent(case.mesh)
    truth = np.einsum("nd,ndk->nk", case.field, tangent.frames).ravel()
    rows = seen_rows(len(case.field), rng)
    observed = truth[rows] + noise * np.sqrt(np.square(truth).mean()) * rng.standard_normal(rows.size)
    if model == "exact":
        mean, samples = tangent.condition(observed, rows, tangent.fit(observed, rows), rng)
        return tangent.world(mean), tangent.world(samples)
    seen = rows[::2] // 2
    vectors = np.einsum("nk,ndk->nd", observed.reshape(-1, 2), tangent.frames[seen])
    found = fit(from_mesh(case.mesh), case.mesh.vertices[seen], vectors)
    return found.predict().mean, found.sample(SAMPLES, rng)


def cases(coarse: bool) -> list[Case]:
    """Fields whose zeros calculus gives."""
    ball = closed("sphere", 400 if coarse else 600)
    axes = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]
    stretch = axes @ np.diag([-1.0, 0.1, 1.2]) @ axes.T  # P x -> stretch x: eigenvectors are the zeros
    poles = np.array([axes[:, 2], -axes[:, 2]])
    six = np.concatenate([axes.T, -axes.T])
    ring = closed("torus", 500, 2.0)
    ends = np.array([[-2.8, 0, 0], [2.8, 0, 0], [-1.2, 0, 0], [1.2, 0, 0]])
    return [
        Case("sphere, 2 vortices", ball, np.cross(axes[:, 2], ball.vertices), poles, (1, 1)),
        Case(
            "sphere, 2 sources, 2 saddles, 2 sinks", ball, tangential(ball, ball.vertices @ stretch), six,
            (1, -1, 1) * 2,
        ),
        Case(
            "torus, source, sink, 2 saddles", ring, tangential(ring, np.tile([1.0, 0, 0], (len(ring.vertices), 1))),
            ends, (1, 1, -1, -1),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
