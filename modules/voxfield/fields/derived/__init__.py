"""What follows from samples of a velocity: what the stage `fields.derive` is made of.

`_samples` (the samples in m/s, sample by sample lumens), `_gradient` (local quadratic fits), `_wall` (wall points and
shear stress), `_planes` and `_sections` (flow through planes), `_streamlines`, `_output` (tables, images, findings).
"""
