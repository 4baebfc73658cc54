"""`chebyshev`: collocation on boxes, the reference for smooth solutions."""

from voxfield.pde.solvers._spectral import SpectralSolver

SOLVER = SpectralSolver("chebyshev")
