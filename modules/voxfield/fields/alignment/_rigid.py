"""Rigid motions of the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rigid:
    """x -> R (x - c) + c + t, in mm.

    rotation  (3, 3) R
    shift     (3,) t
    centre    (3,) c, about which is turned
    """

    rotation: Floats
    shift: Floats
    centre: Floats

    def __call__(self, points: Floats) -> Floats:
        """Move points (n, 3)."""
        return np.asarray((points - self.centre) @ self.rotation.T + self.centre + self.shift)

    def then_by(self, step: Floats) -> Rigid:
        """Turn by the rotation vector step[:3] and shift by step[3:] after this motion, about the moved centre."""
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        return Rigid(turn @ self.rotation, self.shift + step[3:], self.centre)

    @property
    def matrix(self) -> Floats:
        """(4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = self.centre + self.shift - self.rotation @ self.centre
        return matrix

    @property
    def angle_deg(self) -> float:
        """Angle of the rotation, degrees."""
        return float(np.degrees(Rotation.from_matrix(self.rotation).magnitude()))

    def away_from(self, other: Rigid, points: Floats) -> float:
        """The farthest that the two carry one of the points (n, 3) apart, mm."""
        return float(np.linalg.norm(self(points) - other(points), axis=1).max())


def start_at(centre: Floats, rotation_vector: Floats, shift: Floats) -> Rigid:
    """A motion from a rotation vector, radians, and a shift, mm."""
    return Rigid(Rotation.from_rotvec(rotation_vector).as_matrix(), shift, centre)
