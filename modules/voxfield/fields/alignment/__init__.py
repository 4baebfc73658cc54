"""Rigid alignment of two images: what the stage `fields.align` is made of.

`_rigid` (the transform), `_levels` (images at several resolutions), `_match` (the cost and its descent), `_search`
(from many starts to the finest level, with a standard deviation), `_resample` (images and vectors carried along).
"""
