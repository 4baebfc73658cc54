"""Losses of ordinal grading; every one takes soft targets."""
