"""Training algorithms by name. A new one is one file with one class and one line here (or an entry point).

The trainer makes the batches and the views, steps the optimiser, keeps the average and the checkpoints; an
algorithm only says what the loss of a batch is.
"""

from voxfield.grading.algorithms.base import Algorithm, Batch, Nets

ALGORITHMS = {
    "supervised": "voxfield.grading.algorithms.supervised:Supervised",
    "mixup": "voxfield.grading.algorithms.mixup:MixUp",
    "adamixup": "voxfield.grading.algorithms.adamixup:AdaMixUp",
    "pi": "voxfield.grading.algorithms.pi:PiModel",
    "interpolation": "voxfield.grading.algorithms.interpolation:Interpolation",
    "semixup": "voxfield.grading.algorithms.semixup:Semixup",
    "fixmatch": "voxfield.grading.algorithms.fixmatch:FixMatch",
    "fixmatch_ordinal": "voxfield.grading.algorithms.fixmatch_ordinal:FixMatchOrdinal",
    "simmatchv2": "voxfield.grading.algorithms.simmatchv2:SimMatchV2",
    "co_teaching": "voxfield.grading.algorithms.co_teaching:CoTeaching",
}

__all__ = ["ALGORITHMS", "Algorithm", "Batch", "Nets"]
