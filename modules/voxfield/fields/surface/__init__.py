"""Surfaces of triangles: the discrete connection of tangent vectors, and the Laplacian of scalars."""
