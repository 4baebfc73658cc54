"""Correspondence of two surfaces by functional maps, and transport of mass between two densities."""
