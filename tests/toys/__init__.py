"""Toy stages, outside the package as a plug-in would be."""
