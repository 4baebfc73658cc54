"""Time stepping: Burgers, Allen-Cahn, Korteweg-de Vries, Schroedinger and kin, with an error from two step widths.

`evolve_periodic` steps on periodic boxes (exponential time differencing; splitting for complex unknowns),
`evolve_line` on one axis with conditions at its ends. Numeric core: arrays and functions only.
"""

from voxfield.pde.stepping._evolve import PeriodicSolution as PeriodicSolution
from voxfield.pde.stepping._evolve import evolve_line as evolve_line
from voxfield.pde.stepping._evolve import evolve_periodic as evolve_periodic
from voxfield.pde.stepping._march import March as March
