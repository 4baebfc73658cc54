"""Partial differential equations on boxes and voxels, and pressure from velocity.

`VoxelDomain` is a mask as a finite-volume domain, `EllipticSolver` solves symmetric elliptic systems on it,
`LocalFit` differentiates samples up to the wall, `momentum_force` is the right side of the pressure
equation, `relative_pressure` puts them together for one lumen. The stage `pressure` carries samples through
all of it.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.pde._compare import compare as compare
    from voxfield.pde._derivatives import LocalFit as LocalFit
    from voxfield.pde._distance import distance as distance
    from voxfield.pde._domain import VoxelDomain as VoxelDomain
    from voxfield.pde._elliptic import EllipticSolver as EllipticSolver
    from voxfield.pde._evaluate import evaluate as evaluate
    from voxfield.pde._evolve import evolve as evolve
    from voxfield.pde._inverse_train import inverse_train as inverse_train
    from voxfield.pde._invert import invert as invert
    from voxfield.pde._laplace import laplace as laplace
    from voxfield.pde._momentum import Fluid as Fluid
    from voxfield.pde._momentum import momentum_force as momentum_force
    from voxfield.pde._operator_pairs import operator_pairs as operator_pairs
    from voxfield.pde._operator_predict import operator_predict as operator_predict
    from voxfield.pde._operator_train import operator_train as operator_train
    from voxfield.pde._pressure import pressure as pressure
    from voxfield.pde._relative import Lumen as Lumen
    from voxfield.pde._relative import relative_pressure as relative_pressure
    from voxfield.pde._solve import solve as solve
    from voxfield.pde._stokes import StokesEstimator as StokesEstimator

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "EllipticSolver": "_elliptic",
        "Fluid": "_momentum",
        "LocalFit": "_derivatives",
        "Lumen": "_relative",
        "StokesEstimator": "_stokes",
        "VoxelDomain": "_domain",
        "compare": "_compare",
        "distance": "_distance",
        "evaluate": "_evaluate",
        "evolve": "_evolve",
        "inverse_train": "_inverse_train",
        "invert": "_invert",
        "laplace": "_laplace",
        "momentum_force": "_momentum",
        "operator_pairs": "_operator_pairs",
        "operator_predict": "_operator_predict",
        "operator_train": "_operator_train",
        "pressure": "_pressure",
        "relative_pressure": "_relative",
        "solve": "_solve",
    },
)
