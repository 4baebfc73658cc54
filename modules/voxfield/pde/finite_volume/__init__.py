"""Finite volumes on boxes: second order in space and time, for operators of second order with reactions and fluxes."""
