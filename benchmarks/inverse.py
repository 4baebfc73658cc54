"""Piecewise constant permeability from 100 noisy pressures (25 dB): error, coverage and seconds over drawn fields.

Fields are of our own distribution, that of `pde.inverse_train`: 5 and 10 on the unit square. The observed pressures
are solved on a grid three times finer than that of the inversion. Methods, all with a posterior: finite volumes under a
level-set prior (the classical one); the deep generative operator alone, its latent vector inferred; the same
operator's posterior of the level set, annealed to that of finite volumes; and the prior's mean for comparison.

Coverage is of intervals that hold 90 % of the draws, pointwise, averaged over a field and then over fields: of the
pressure, and of the mean permeability of blocks of 7 x 7 cells. A cell itself has two values: there the
smallest set of values with at least 90 % has to hold as often as its own probability says. `--seeds` is the number of
fields. Beside them two networks that go both ways, which want the pressure in every cell: as it is, and with noise of
25 dB. Published elsewhere, for other fields and as a point estimate: .127 (arXiv 2502.06250).
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from _common import Claim, finish, options
from voxfield.pde.inverse._darcy import Floats, Observations, sampling_matrix, solve_darcy
from voxfield.pde.inverse._dgno import Darcy, Sizes
from voxfield.pde.inverse._infer import Inference
from voxfield.pde.inverse._optimum import likeliest
from voxfield.pde.inverse._posterior import Posterior
from voxfield.pde.inverse._sampler import Effort
from voxfield.pde.inverse._train import Recipe, forward_error, level_set_prior, train
from voxfield.pde.inverse._two_way import Kind
from voxfield.pde.inverse._two_way_train import Pairs, draw_pairs, train_two_way, two_way_errors

POINTS, DECIBELS, REFINE, BLOCK = 100, 25, 3, 7
LEVEL = 0.9
PUBLISHED = 0.127


class Truth(NamedTuple):
    """Permeability and pressure (n, n), and what was observed."""

    permeability: Floats
    pressure: Floats
    observations: Observations


def main() -> None:
    """Train, draw fields, invert each by every method."""
    chosen = options(__doc__ or "", seeds=50)
    fields = min(chosen.seeds, 2) if chosen.quick else chosen.seeds
    darcy = Darcy(5.0, 10.0, 10.0, 15, waves=5) if chosen.quick else Darcy(5.0, 10.0, 10.0, 29)
    recipe = Recipe(steps=60, batch=32) if chosen.quick else Recipe(steps=1500)
    effort = Effort(draws=40, moves=3) if chosen.quick else Effort(draws=100, moves=5)
    started = time.process_time()
    network, _ = train(darcy, Sizes(), recipe, seed=0)
    training = {"training_s": time.process_time() - started, "steps": recipe.steps}
    training["forward_error"] = forward_error(network, fields=100, seed=1)
    methods = {
        "finite volumes, level set": Inference(darcy),
        "operator, latent vector": Inference(darcy, "learned", network, "latent"),
        "operator, then finite volumes, level set": Inference(darcy, "corrected", network),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for number in range(fields):
        truth = draw(darcy, np.random.default_rng([7, number]))
        for name, inference in methods.items():
            started = time.process_time()
            rng = np.random.default_rng([8, number])
            posterior, runs = inference.run(truth.observations, effort, 2, rng)
            row = judged(posterior, truth, darcy) | {"disagreement": posterior.disagreement}
            solves = 0 if inference.method == "learned" else sum(run.evaluations for run in runs)
            found[name].append(row | {"solves": solves, "cpu_s": time.process_time() - started})
        print(f"{number + 1} of {fields}", *(f"{rows[-1]['error']:.3f}" for rows in found.values()), flush=True)
    rows = [{"method": name} | mean_of(rows) for name, rows in found.items()]
    sampler = sampler_row(fields, effort if chosen.quick else Effort(draws=100))
    two_way = list(two_way_rows(darcy, pairs=200 if chosen.quick else 2000, steps=40 if chosen.quick else 1000))
    finish(chosen, list(claims([*rows, sampler])), [training], [*rows, sampler], point_rows(darcy, fields), two_way)


def draw(darcy: Darcy, rng: np.random.Generator, refine: int = REFINE) -> Truth:
    """A field of the prior, solved on a finer grid and observed at points uniform in the square."""
    prior = level_set_prior(darcy)
    coefficients = rng.standard_normal(prior.size)
    fine = solve_darcy(prior.field(coefficients, refine), darcy.forcing).pressure
    points = rng.random((POINTS, 2))
    clean = sampling_matrix(points, len(fine)) @ fine.ravel()
    sd = float(np.sqrt(np.mean(clean**2))) * 10 ** (-DECIBELS / 20)
    seen = Observations(points, clean + sd * rng.standard_normal(POINTS), np.full(POINTS, sd))
    middle = slice(refine // 2, None, refine)
    return Truth(prior.field(coefficients), fine[middle, middle], seen)


def judged(posterior: Posterior, truth: Truth, darcy: Darcy) -> dict[str, float]:
    """Relative L2 errors and coverages of one field."""
    a, mean = truth.permeability, posterior.permeability.mean(axis=0)
    high = (posterior.permeability == darcy.high).mean(axis=0)
    right, likelier = np.where(a == darcy.high, high, 1 - high), np.maximum(high, 1 - high)
    sure = likelier >= LEVEL
    return {
        "error": relative(mean, a),
        "error_mode": relative(np.where(high > 0.5, darcy.high, darcy.low), a),
        "error_pressure": relative(posterior.pressure.mean(axis=0), truth.pressure),
        "pressure_in": covered(posterior.pressure, truth.pressure),
        "blocks_in": covered(blocks(posterior.permeability), blocks(a[None])[0]),
        "cells_in": float(np.mean(~sure | (right > 0.5))),
        "cells_said": float(np.mean(np.where(sure, likelier, 1.0))),
    }


def relative(found: Floats, truth: Floats) -> float:
    """L2 error."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def covered(draws: Floats, truth: Floats) -> float:
    """Share of places where the central interval of the draws (s, ...) holds the truth (...)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return float(np.mean((low <= truth) & (truth <= high)))


def blocks(fields: Floats) -> Floats:
    """Means (s, k, k) over whole blocks of cells of (s, n, n)."""
    count = fields.shape[-1] // BLOCK
    cut = fields[:, : count * BLOCK, : count * BLOCK]
    return cut.reshape(-1, count, BLOCK, count, BLOCK).mean(axis=(2, 4))


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over fields, and standard errors of the two that are claimed."""
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    for name in ("error", "blocks_in"):
        found[f"{name}_se"] = float(np.std([row[name] for row in rows]) / np.sqrt(max(len(rows) - 1, 1)))
    return found


def point_rows(darcy: Darcy, fields: int) -> list[dict[str, Any]]:
    """Errors of what has no intervals: the prior's mean, and the likeliest permeability by the adjoint gradient."""
    prior = level_set_prior(darcy)
    truths = [draw(darcy, np.random.default_rng([7, number])) for number in range(fields)]
    started = time.process_time()
    found = [prior.field(likeliest(prior, truth.observations, darcy.forcing)) for truth in truths]
    seconds = (time.process_time() - started) / fields
    guesses = [relative(np.full_like(truth.permeability, darcy.mean), truth.permeability) for truth in truths]
    points = [relative(a, truth.permeability) for a, truth in zip(found, truths, strict=True)]
    return [
        {"method": "mean of the prior", "error": float(np.mean(guesses)), "cpu_s": 0.0},
        {"method": "likeliest, adjoint gradient", "error": float(np.mean(points)), "cpu_s": seconds},
    ]


def sampler_row(fields: int, effort: Effort) -> dict[str, Any]:
    """Finite volumes on a coarse grid, observed on that grid: what is off then is off by the sampler alone."""
    darcy = Darcy(5.0, 10.0, 10.0, 15, waves=5)
    rows = []
    for number in range(fields):
        started = time.process_time()
        truth = draw(darcy, np.random.default_rng([9, number]), refine=1)
        posterior, _ = Inference(darcy).run(truth.observations, effort, 2, np.random.default_rng([10, number]))
        row = judged(posterior, truth, darcy) | {"disagreement": posterior.disagreement}
        rows.append(row | {"cpu_s": time.process_time() - started})
    return {"method": f"finite volumes, 15 x 15, {fields} fields, no error but the sampler's"} | mean_of(rows)


def two_way_rows(darcy: Darcy, *, pairs: int, steps: int) -> Iterator[dict[str, Any]]:
    """Errors of both directions on pairs that trained nothing, and CPU seconds of the training without its pairs."""
    training = draw_pairs(darcy, pairs, np.random.default_rng(11))
    clean = draw_pairs(darcy, 200, np.random.default_rng(12))
    noise = clean.pressure.square().mean().sqrt() * 10 ** (-DECIBELS / 20)
    scatter = torch.randn(clean.pressure.shape, generator=torch.Generator().manual_seed(13))
    noisy = Pairs(clean.permeability, clean.pressure + noise * scatter)
    for kind in get_args(Kind):
        started = time.process_time()
        network = train_two_way(darcy, kind, training, steps=steps, seed=0)
        seconds = time.process_time() - started
        errors = two_way_errors(network, clean)._asdict()
        yield {
            "network": kind,
            **errors,
            "inverse_noisy": two_way_errors(network, noisy).inverse,
            "training_s": seconds,
        }


def claims(rows: list[dict[str, Any]]) -> Iterator[Claim]:
    """What we hold each posterior to."""
    for row in rows:
        yield Claim(f"{row['method']}: error of the permeability", row["error"], PUBLISHED, "<=")
        yield Claim(f"{row['method']}: coverage of block means, from below", row["blocks_in"], 0.85, ">=")
        yield Claim(f"{row['method']}: coverage of block means, from above", row["blocks_in"], 0.95, "<=")
        yield Claim(f"{row['method']}: coverage of the pressure", row["pressure_in"], 0.85, ">=")


if __name__ == "__main__":
    main()
