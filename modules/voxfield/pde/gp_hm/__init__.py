"""Gaussian processes for equations of high frequency and many scales (GP-HM), solved by evidence, with error bars."""

from voxfield.pde.gp_hm._posterior import Posterior
from voxfield.pde.gp_hm._product import Face, Observations
from voxfield.pde.gp_hm._solve import solve

__all__ = ["Face", "Observations", "Posterior", "solve"]
