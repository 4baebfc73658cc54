"""Displacement between two images under an elastic prior: what the stage `fields.register` is made of.

`_elastic` (strain energy of a grid of bricks), `_nodes` (from nodes to voxels), `_levels` (images at several
resolutions), `_fit` (most probable displacement, draws, and the weights by their evidence), `_deformation` (warp,
determinant).
"""
