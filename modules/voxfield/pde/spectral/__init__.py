"""Spectral collocation on intervals and boxes: the reference that other solvers are held against.

`solve(Equation(operator, box, forcing, conditions))` gives a `Solution`, whose grid is chosen by the decay of its own
coefficients. Bounded axes are Chebyshev, periodic ones Fourier, and time is one more Chebyshev axis. Numeric core:
arrays and functions only.
"""

from voxfield.pde.spectral._chebyshev import Chebyshev as Chebyshev
from voxfield.pde.spectral._equation import Condition as Condition
from voxfield.pde.spectral._equation import Equation as Equation
from voxfield.pde.spectral._equation import Interval as Interval
from voxfield.pde.spectral._equation import dirichlet as dirichlet
from voxfield.pde.spectral._equation import neumann as neumann
from voxfield.pde.spectral._fourier import Fourier as Fourier
from voxfield.pde.spectral._solution import Solution as Solution
from voxfield.pde.spectral._solve import error_estimate as error_estimate
from voxfield.pde.spectral._solve import solve as solve
