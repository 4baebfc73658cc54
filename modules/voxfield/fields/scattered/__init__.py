"""Vector fields on scattered points of flat space: a Gaussian process with a solenoidal and an irrotational part.

`fit` learns its settings by the evidence, `ScatteredGP` predicts and samples anywhere. Inside: `_helmholtz` (kernel),
`_evidence` (settings), `_field` (prediction, sampling).
"""

from voxfield.fields.scattered._evidence import fit as fit
from voxfield.fields.scattered._field import Prediction as Prediction
from voxfield.fields.scattered._field import ScatteredGP as ScatteredGP
from voxfield.fields.scattered._helmholtz import Settings as Settings

__all__ = ["Prediction", "ScatteredGP", "Settings", "fit"]
