"""Overlap of two masks, and the rules for empty ones.

Dice = 2 TP / (|prediction| + |reference|), precision = TP / |prediction|, recall = TP / |reference|, leakage
= volume of the false positives (Lo et al., EXACT'09, IEEE TMI 31(11), 2012: leakage in ml), also as a share
FP / |reference| (ATM'22); the error of volume is prediction - reference.

Empty masks: both empty is agreement, so Dice, precision and recall are 1 and leakage 0; one empty is none, so Dice
is 0; precision of an empty prediction and recall and leakage share of an empty reference are undefined (None).
"""

import numpy as np

from voxfield.segmentation.metrics._topology import Mask

MM3_PER_ML = 1000.0


def ratio(part: float, whole: float, both_empty: bool) -> float | None:
    """part / whole; 1 where both masks are empty, None where the whole alone is."""
    if both_empty:
        return 1.0
    return part / whole if whole else None


def overlap(prediction: Mask, reference: Mask, voxel_mm3: float) -> dict[str, float | None]:
    """Dice, precision, recall and leakage of two (x, y, z) bool arrays on one grid."""
    both = float(np.count_nonzero(prediction & reference))
    predicted = float(np.count_nonzero(prediction))
    wanted = float(np.count_nonzero(reference))
    empty = predicted == 0 and wanted == 0
    extra = predicted - both
    return {
        "dice": ratio(2 * both, predicted + wanted, empty),
        "precision": ratio(both, predicted, empty),
        "recall": ratio(both, wanted, empty),
        "leakage": 0.0 if empty else ratio(extra, wanted, False),
        "leakage_ml": extra * voxel_mm3 / MM3_PER_ML,
        "volume_prediction_ml": predicted * voxel_mm3 / MM3_PER_ML,
        "volume_reference_ml": wanted * voxel_mm3 / MM3_PER_ML,
        "volume_error_ml": (predicted - wanted) * voxel_mm3 / MM3_PER_ML,
    }
