"""Measures of a segmentation against a reference: overlap, topology, trees and surfaces.

Everything here works on boolean arrays (x, y, z) and a spacing (3,) in mm; the stage `segmentation.evaluate`
joins them into one call.
"""
