"""absorption u - div(a grad u) = f inside a mask, with labelled walls: set up once, solved for many right sides.

Finite volumes on the voxels: unknowns are means over voxels, the flux across a face between two voxels is the
harmonic mean of their a times the difference quotient. A Dirichlet value holds on the face of the wall, half
a voxel from the unknown; a Neumann value is the flux a du/dn across it, n pointing out of the mask; all faces
without a condition are insulated. On domains whose walls lie on voxel faces the error is of second order in the
spacing; a wall that the voxels make a staircase of costs one order, whatever the solver.

A part of the mask without a Dirichlet value and without absorption determines u up to a constant: there the right
side must balance, and the solution of zero mean is returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from voxfield.errors import InputError
from voxfield.pde._domain import VoxelDomain
from voxfield.pde.voxels._network import Network
from voxfield.pde.voxels._solver import NetworkSolver, Solution
from voxfield.pde.voxels._walls import wall_faces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Mask
    from voxfield.pde.voxels._walls import WallFaces

    Condition = Literal["dirichlet", "neumann"]

CONDITIONS = ("dirichlet", "neumann")


class VoxelPoisson:
    """Solver of absorption u - div(a grad u) = f on the n voxels of a mask.

    mask         (x, y, z)  True where the equation holds
    spacing      (3,)       along the voxel axes; its unit is the unit of length
    walls        (x, y, z)  label of the voxels around the mask; a face of the mask carries the label of the voxel
                            behind it, on the edge of the box that of the voxel itself
    conditions              label -> "dirichlet" or "neumann"; faces of other labels are insulated
    coefficient             a > 0, one number or (n,) a voxel
    absorption              >= 0, one number or (n,); 1 / dt for an implicit step of time
    rtol                    relative residual at which a right side counts as solved
    max_iterations          after which the best found is returned with its residual
    device                  None for sparse matrices of the voxels alone, on the CPU, which is fastest there; a torch
                            device for boxes without a matrix, as GPUs like them

    Voxels are numbered in C order of the mask: `values = field[mask]`, and `domain.dense(values)` puts them back.
    Raises InputError for an empty mask, a label without a face, and numbers out of range.
    """

    def __init__(
        self,
        mask: Mask,
        spacing: tuple[float, float, float],
        *,
        walls: NDArray[np.integer] | None = None,
        conditions: Mapping[int, Condition] | None = None,
        coefficient: Floats | float = 1.0,
        absorption: Floats | float = 0.0,
        rtol: float = 1e-8,
        max_iterations: int = 1000,
        device: str | None = None,
    ) -> None:
        self.domain = _domain(mask, spacing)
        self.conditions = dict(conditions or {})
        self.faces = self._faces(walls)
        self.coefficient = self._per_voxel("coefficient", coefficient)
        if self.coefficient.min() <= 0:
            raise InputError(f"the coefficient is {self.coefficient.min():g} somewhere; expected numbers above 0")
        self.absorption = self._per_voxel("absorption", absorption)
        if self.absorption.min() < 0:
            raise InputError(f"the absorption is {self.absorption.min():g} somewhere; expected 0 or more")
        self.solver = NetworkSolver(self._network(), rtol=rtol, max_iterations=max_iterations, device=device)

    def solve(
        self,
        forcing: Floats | float = 0.0,
        boundary: Mapping[int, Floats | float] | None = None,
        *,
        start: Floats | None = None,
    ) -> Solution:
        """Solve for one right side or for k at a time.

        forcing   f: one number, (n,), or (n, k) for k right sides
        boundary  label -> value on its faces, one number or (f,) in the order of `faces[label]`: u where the label is
                  Dirichlet, a du/dn along the outward normal where it is Neumann; the same for all k
        start     first guess, shaped like the result
        returns   values (n,), or (n, k) where the forcing is

        Raises InputError where a condition has no value, a value is not finite, or the data of a part without
        Dirichlet value do not balance.
        """
        sources = np.asarray(forcing, dtype=float)
        columns = sources.shape[1] if sources.ndim == 2 else 1
        if sources.shape not in {(), (self.domain.size,), (self.domain.size, columns)}:
            raise InputError(
                f"the forcing has shape {sources.shape}; expected a number, (n,) or (n, k), n = {self.domain.size}"
            )
        _require_finite("forcing", sources)
        shape = (self.domain.size, columns)
        rhs = np.broadcast_to(sources.reshape(-1, columns), shape) + self._sources(boundary or {})[:, None]
        first = None if start is None else np.asarray(start, dtype=float).reshape(shape)
        found = self.solver.solve(rhs, start=first)
        return found if sources.ndim == 2 else found._replace(values=found.values[:, 0])

    def _faces(self, walls: NDArray[np.integer] | None) -> dict[int, WallFaces]:
        for label, kind in self.conditions.items():
            if kind not in CONDITIONS:
                raise InputError(f"the condition of label {label} is {kind!r}; expected one of {', '.join(CONDITIONS)}")
        if walls is None:
            walls = np.zeros(self.domain.mask.shape, dtype=np.uint8)
        if walls.shape != self.domain.mask.shape:
            raise InputError(
                f"the walls have shape {walls.shape}, the mask {self.domain.mask.shape}; expected one grid"
            )
        faces = wall_faces(self.domain, walls, self.conditions)
        for label, found in faces.items():
            if not len(found):
                raise InputError(
                    f"no face of the mask carries the label {label}, which has a {self.conditions[label]} condition"
                )
        return faces

    def _network(self) -> Network:
        """Rows per unit of volume."""
        leak = self.absorption.copy()
        for label, faces in self.faces.items():
            if self.conditions[label] == "dirichlet":
                leak += np.bincount(faces.cells, weights=self._wall_conductance(faces), minlength=self.domain.size)
        lower, upper = (np.concatenate(ends) for ends in zip(*self.domain.faces, strict=True))
        steps = np.repeat(self.domain.spacing, self.domain.face_counts)
        resistance = 1 / self.coefficient
        between = resistance[lower] + resistance[upper] if np.ptp(resistance) > 0 else 2 * resistance[0]
        return Network(self.domain.cells, lower, upper, 2 / (between * steps**2), leak)

    def _wall_conductance(self, faces: WallFaces) -> Floats:
        return np.asarray(2 * self.coefficient[faces.cells] / faces.steps**2)

    def _sources(self, boundary: Mapping[int, Floats | float]) -> Floats:
        """What the values on the walls add to the right side (n,)."""
        if set(boundary) != set(self.conditions):
            raise InputError(
                f"values are given for the labels {sorted(boundary)}, conditions for {sorted(self.conditions)}; "
                "expected one value for every condition"
            )
        sources = np.zeros(self.domain.size)
        for label, value in boundary.items():
            faces = self.faces[label]
            values = np.asarray(value, dtype=float)
            if values.shape not in {(), (len(faces),)}:
                raise InputError(
                    f"the value on label {label} has shape {values.shape}; expected one number or ({len(faces)},)"
                )
            _require_finite(f"value on label {label}", values)
            is_dirichlet = self.conditions[label] == "dirichlet"
            strength = self._wall_conductance(faces) if is_dirichlet else 1 / faces.steps
            np.add.at(sources, faces.cells, strength * values)
        return sources

    def _per_voxel(self, name: str, values: Floats | float) -> Floats:
        found = np.asarray(values, dtype=float)
        if found.shape not in {(), (self.domain.size,)}:
            raise InputError(
                f"the {name} has shape {found.shape}; expected one number or ({self.domain.size},), one a voxel"
            )
        _require_finite(name, found)
        return np.broadcast_to(found, (self.domain.size,))


def _domain(mask: Mask, spacing: tuple[float, float, float]) -> VoxelDomain:
    if mask.ndim != 3 or mask.dtype != bool:
        raise InputError(f"the mask is {mask.dtype} of shape {mask.shape}; expected bool (x, y, z)")
    if len(spacing) != 3 or not all(0 < step < np.inf for step in spacing):
        raise InputError(f"the spacing is {tuple(spacing)}; expected three positive numbers")
    if not mask.any():
        raise InputError("the mask is empty: no voxel to solve on; expected at least one")
    return VoxelDomain(mask, spacing)


def _require_finite(name: str, values: Floats) -> None:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise InputError(f"the {name} is not finite at {bad} of {values.size} places; expected numbers everywhere")
