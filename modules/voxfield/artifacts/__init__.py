"""The kinds of data that stages exchange: one class a kind, one file an artifact.

Every kind has `load`, `save` and `check`. `load` judges the header at once and reads the voxels when they
are first used; `check` reads everything and raises InputError where a value can not be used. World
coordinates are millimetres, RAS+; voxel axes are x, y, z in the order in which NIfTI stores them; arrays are
C-ordered, so that a result does not depend on whether its input came from a file or from memory.

This package imports numpy, torch and the like only inside its methods.
"""

from voxfield.artifacts._base import Artifact, Limits, Origin
from voxfield.artifacts._centerline import Centerline
from voxfield.artifacts._cohort import Cohort
from voxfield.artifacts._face_flux import FaceFlux
from voxfield.artifacts._faces import face_labels
from voxfield.artifacts._field_samples import FieldSamples
from voxfield.artifacts._graph import Graph
from voxfield.artifacts._grid import Grid
from voxfield.artifacts._grid_field import GridField
from voxfield.artifacts._image import Image, ImageSeries, PartialImage
from voxfield.artifacts._label_map import LabelMap
from voxfield.artifacts._manifold import Manifold
from voxfield.artifacts._mesh import Mesh
from voxfield.artifacts._metrics import Metrics
from voxfield.artifacts._model import Model
from voxfield.artifacts._pair import check_pair, require_grid
from voxfield.artifacts._picture import Picture
from voxfield.artifacts._point_field import PointField
from voxfield.artifacts._point_samples import PointSamples
from voxfield.artifacts._polyline import Polyline
from voxfield.artifacts._problem import Problem
from voxfield.artifacts._raw_file import RawFile
from voxfield.artifacts._report import Report
from voxfield.artifacts._table import Table
from voxfield.artifacts._vector_image import PartialVectorImage, VectorImage

__all__ = [
    "Artifact",
    "Centerline",
    "Cohort",
    "FaceFlux",
    "FieldSamples",
    "Graph",
    "Grid",
    "GridField",
    "Image",
    "ImageSeries",
    "LabelMap",
    "Limits",
    "Manifold",
    "Mesh",
    "Metrics",
    "Model",
    "Origin",
    "PartialImage",
    "PartialVectorImage",
    "Picture",
    "PointField",
    "PointSamples",
    "Polyline",
    "Problem",
    "RawFile",
    "Report",
    "Table",
    "VectorImage",
    "check_pair",
    "face_labels",
    "require_grid",
]
