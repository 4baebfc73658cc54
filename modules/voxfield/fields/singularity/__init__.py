"""Zeros of vector fields: their index and type in cells of a surface or a lumen, and clusters over samples."""
