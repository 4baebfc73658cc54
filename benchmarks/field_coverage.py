"""Does the 95 % interval of `fields.reconstruct` hold 95 %? Coverage over independent draws of field and noise.

Fields are drawn from the prior in a small tube and measured with noise; the interval is marginal, per component, pooled
over points. Two models: the true one, and one that the evidence learns from each draw alone, starting away from the
truth. The field at the fine cells (latent) and a second measurement of the voxels (observed) are counted apart, with
standard errors over draws. Here the prior is right by construction; whether it fits real flow is another question,
which `flow4d.py` and `vessel_flow.py` ask.
"""

import time
from typing import Any

import numpy as np

from _common import Claim, finish, options
from voxfield.fields._calibration import Trial, coverage
from voxfield.fields._model import Model

TRUTHS = {
    "smooth, little noise": Model(length_mm=4.0, smoothness=2.5, noise_ratio=0.04, partial=0.0, correlation=0.5),
    "rough, much noise": Model(length_mm=3.0, smoothness=1.5, noise_ratio=0.3, partial=0.0),
}
DRAWS = 100
QUICK_DRAWS = 50


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    draws = QUICK_DRAWS if chosen.quick else DRAWS
    rows: list[dict[str, Any]] = []
    for name, truth in TRUTHS.items():
        for learn in (False, True):
            for seed in range(1 if chosen.quick else chosen.seeds):
                started = time.process_time()
                found = coverage(Trial(truth), draws, np.random.default_rng(seed), learn=learn)
                rows.append({
                    "field": name,
                    "model": "learned" if learn else "known",
                    "seed": seed,
                    "draws": draws,
                    "latent": found.latent,
                    "latent s.e.": found.latent_error,
                    "observed": found.observed,
                    "observed s.e.": found.observed_error,
                    "relative L2": found.relative_error,
                    "CPU s": time.process_time() - started,
                })  # fmt: skip
    claims = []
    for kind in ("latent", "observed"):
        claims.append(Claim(f"least coverage, {kind}", min(r[kind] for r in rows), 0.92, ">="))
        claims.append(Claim(f"largest coverage, {kind}", max(r[kind] for r in rows), 0.98, "<="))
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
