"""Training losses of the family, on plain tensors."""

from voxfield.segmentation.losses._dice_ce import cross_entropy, dice_cross_entropy, soft_dice

__all__ = ["cross_entropy", "dice_cross_entropy", "soft_dice"]
