"""Vector fields with error bars: in a lumen of voxels, on manifolds, on scattered points, and what is read off them.

A divergence-free Gaussian process in a lumen: `reconstruct` goes from noisy velocity voxels to the posterior on any
finer grid, `evaluate` compares with a known velocity. Inside: `_setting`, `_data` and `_output` (artifacts in and out),
`_prior` (kernel), `_observation` (what a voxel sees), `_walls`, `_blocks` (covariances), `_model`, `_evidence`,
`_search` and `_choice` (which model), `_outliers` (what is not sound), `_frames` (a cycle), `_vecchia`, `_system` and
`_solver` (linear algebra), `_posterior` and `_kriging` (mean, draws, variance), `_levels` (walls drawn), `_faces` and
`_raw_flow` (fluxes), `_problem` and `_reconstruction` (from problem to result), `_calibration` (coverage over draws).
In Python the same process is a model in `lumen`: fit, predict and sample at any points inside.

A Gaussian process on point clouds, surfaces and masks: `graph`, `fit` and `predict` (in `manifold`), `evaluate_points`.
Vectors on scattered points of flat space: `scattered`, for Python alone.

Around them: `prepare` makes a velocity of phase images (in `preparation`), `align` brings it to an angiogram (in
`alignment`), `register` finds motion (in `registration`), `derive` reads flow rates and wall shear stress off samples
(in `derived`), `singularities` finds sources, sinks, vortices and saddles (in `singularity`, on the connection of
`surface`), `match` brings surfaces together (in `matching`), `embed` lays out point clouds (in `embedding`).

Shared: `_neighbours` (near points, blocks), `_score` (evidence), `_conditional` (kriging weights), `_robust`,
`_lookup`.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.fields._align import align as align
    from voxfield.fields._derive import derive as derive
    from voxfield.fields._embed import embed as embed
    from voxfield.fields._evaluate import evaluate as evaluate
    from voxfield.fields._evaluate_points import evaluate_points as evaluate_points
    from voxfield.fields._fit import fit as fit
    from voxfield.fields._graph import graph as graph
    from voxfield.fields._match import match as match
    from voxfield.fields._predict import predict as predict
    from voxfield.fields._prepare import prepare as prepare
    from voxfield.fields._reconstruct import reconstruct as reconstruct
    from voxfield.fields._register import register as register
    from voxfield.fields._singularities import singularities as singularities

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "align": "_align",
        "derive": "_derive",
        "embed": "_embed",
        "evaluate": "_evaluate",
        "evaluate_points": "_evaluate_points",
        "fit": "_fit",
        "graph": "_graph",
        "match": "_match",
        "predict": "_predict",
        "prepare": "_prepare",
        "reconstruct": "_reconstruct",
        "register": "_register",
        "singularities": "_singularities",
    },
)
