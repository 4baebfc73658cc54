"""Fields on manifolds: one Gaussian process on point clouds, meshes and masks.

A domain comes from `from_points`, `from_mesh` or `from_mask`; `fit` learns settings and gives a `FieldGP`, which
predicts and samples at the nodes and anywhere near them. `_gpytorch.SpectralKernel` is the intrinsic kernel for
GPyTorch.

Inside: `_patches` (frames, sheets), `_orientation` (transport), `_domain` and `_cloud`, `_mesh`, `_voxels`, `_modes`,
`_spectrum` (intrinsic part), `_neighbourhoods` and `_kriging` (local part), `_likelihood` and `_settings` (evidence),
`_places` (between the nodes), `_field` (posterior), `_fit`, `_calibrated` and `_frame_error` (intervals), `_stored`
(named arrays and back).
"""

from voxfield.fields.manifold._cloud import from_points
from voxfield.fields.manifold._domain import Domain, farthest_points
from voxfield.fields.manifold._field import FieldGP, Prediction
from voxfield.fields.manifold._fit import fit
from voxfield.fields.manifold._mesh import from_mesh
from voxfield.fields.manifold._modes import Modes, modes
from voxfield.fields.manifold._settings import SMOOTHNESSES, Settings, Wishes
from voxfield.fields.manifold._voxels import from_mask

__all__ = [
    "SMOOTHNESSES",
    "Domain",
    "FieldGP",
    "Modes",
    "Prediction",
    "Settings",
    "Wishes",
    "farthest_points",
    "fit",
    "from_mask",
    "from_mesh",
    "from_points",
    "modes",
]
