"""`fourier`: collocation on periodic boxes, the reference for smooth periodic solutions."""

from voxfield.pde.solvers._spectral import SpectralSolver

SOLVER = SpectralSolver("fourier")
