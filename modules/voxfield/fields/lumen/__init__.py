"""The velocity in a lumen as a model, with the words of `fields.manifold`: `fit`, then `predict` and `sample` anywhere.

The process, its settings and its linear algebra are those of the stage `fields.reconstruct`, which tells mean, standard
deviation and samples at the cells of a grid; here they are told at points of the lumen in mm. A scalar in a lumen, such
as a concentration, is a field on `manifold.from_mask`: it knows no divergence and no wall.
"""

from voxfield.fields._choice import Wishes
from voxfield.fields._problem import Scan, Viewing
from voxfield.fields.lumen._field import LumenGP, fit

__all__ = ["LumenGP", "Scan", "Viewing", "Wishes", "fit"]
