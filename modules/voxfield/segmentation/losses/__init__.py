"""Training losses of the family, on plain tensors."""

from voxfield.segmentation.losses._dice_ce import cross_entropy, dice_cross_entropy, soft_dice
from voxfield.segmentation.losses._objective import Objective, Regularizer, objective
from voxfield.segmentation.losses._truth import Truth

__all__ = ["Objective", "Regularizer", "Truth", "cross_entropy", "dice_cross_entropy", "objective", "soft_dice"]
