"""From observed pressures back to the permeability: populations of draws, finite volumes with an adjoint, and a deep
generative operator that is trained by the equation alone. The stages are `pde.invert` and `pde.inverse_train`.
"""
