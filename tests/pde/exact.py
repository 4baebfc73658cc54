"""Flows whose pressure is known in closed form, and lumens of voxels to sample them in.

Every flow is a function of points (n, 3) in metres that returns velocity (n, 3) in m/s and pressure (n,) in
Pa, up to a constant. Density and viscosity are those of the `Fluid` given.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_bvp

from voxfield.pde._momentum import Fluid

Floats = NDArray[np.float64]
Flow = Callable[[Floats], tuple[Floats, Floats]]
BLOOD = Fluid(1060.0, 0.0035)


def centres(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Floats:
    """Voxel centres (x, y, z, 3) in metres; the box begins at the origin."""
    return (np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) + 0.5) * np.array(spacing)


def bent_tube(steps: tuple[int, int, int]) -> tuple[NDArray[np.bool_], Floats, tuple[float, float, float]]:
    """A bent tube of varying width in the unit cube: mask, voxel centres and spacing."""
    spacing = (1 / steps[0], 1 / steps[1], 1 / steps[2])
    x, y, z = np.moveaxis(points := centres(steps, spacing), -1, 0)
    radius = np.hypot(y - 0.5 - 0.12 * np.sin(2 * np.pi * x), z - 0.5 - 0.1 * np.cos(3 * x))
    return radius < 0.24 + 0.05 * np.cos(5 * x), points, spacing


def abc_flow(fluid: Fluid) -> Flow:
    """Arnold-Beltrami-Childress: curl u = k u, so that without viscosity p = -rho |u|^2 / 2."""

    def flow(points: Floats) -> tuple[Floats, Floats]:
        x, y, z = (4.4 * points).T
        u = np.stack(
            [
                np.sin(z) + 0.8 * np.cos(y),
                0.6 * np.sin(x) + np.cos(z),
                0.8 * np.sin(y) + 0.6 * np.cos(x),
            ],
            axis=1,
        )
        return u, -fluid.density / 2 * (u**2).sum(axis=1)

    return flow


def stagnation_flow(fluid: Fluid) -> Flow:
    """u = (x, y, -2z) around the middle of the unit cube, an exact solution for any viscosity."""

    def flow(points: Floats) -> tuple[Floats, Floats]:
        u = (points - 0.5) * np.array([1.0, 1.0, -2.0])
        return u, -fluid.density / 2 * (u**2).sum(axis=1)

    return flow


def sink_flow(fluid: Fluid) -> Flow:
    """Potential flow into a point beyond x = 1: the converging duct of Bernoulli."""

    def flow(points: Floats) -> tuple[Floats, Floats]:
        away = points - np.array([1.5, 0.5, 0.5])
        u = -away / np.linalg.norm(away, axis=1)[:, None] ** 3
        return u, -fluid.density / 2 * (u**2).sum(axis=1)

    return flow


def kovasznay_flow(fluid: Fluid) -> Flow:
    """Kovasznay (1948): steady Navier-Stokes behind a grid, all terms at work."""
    reynolds = fluid.density / fluid.viscosity
    decay = reynolds / 2 - np.sqrt(reynolds**2 / 4 + 4 * np.pi**2)

    def flow(points: Floats) -> tuple[Floats, Floats]:
        x, y, _ = points.T
        wave = np.exp(decay * x)
        u = np.stack(
            [
                1 - wave * np.cos(2 * np.pi * y),
                decay / (2 * np.pi) * wave * np.sin(2 * np.pi * y),
                np.zeros_like(x),
            ],
            axis=1,
        )
        return u, -fluid.density / 2 * np.exp(2 * decay * x)

    return flow


def ethier_steinman(fluid: Fluid, time: float) -> Flow:
    """Ethier and Steinman (1994): unsteady Navier-Stokes in three dimensions, a = pi/4 scaled, d = pi/2."""
    a, d = np.pi / 4, np.pi / 2
    decay = np.exp(-(d**2) * fluid.viscosity / fluid.density * time)

    def flow(points: Floats) -> tuple[Floats, Floats]:
        x = 2 * points - 1
        e = [np.exp(a * x[:, i]) for i in range(3)]
        pairs = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
        # The unit cube is half the classical one: lengths and times halve, so viscosity acts twice as fast.
        u = np.stack(
            [
                -a * (e[i] * np.sin(a * x[:, j] + d * x[:, k]) + e[k] * np.cos(a * x[:, i] + d * x[:, j]))
                for i, j, k in pairs
            ],
            axis=1,
        )
        p = sum(
            e[i] ** 2 + 2 * np.sin(a * x[:, i] + d * x[:, j]) * np.cos(a * x[:, k] + d * x[:, i]) * e[j] * e[k]
            for i, j, k in pairs
        )
        rate = decay**4
        return u * rate, -fluid.density * a**2 / 2 * p * rate**2

    return flow


def poiseuille(
    radius: float, mean_speed: float, axis: Floats, centre: Floats, fluid: Fluid
) -> tuple[Flow, Callable[[Floats], Floats]]:
    """Laminar flow in a straight tube of any direction: the flow, and how far points lie from its axis."""
    direction = axis / np.linalg.norm(axis)

    def distance(points: Floats) -> Floats:
        away = points - centre
        along = (away @ direction)[..., None] * direction
        return np.asarray(np.linalg.norm(away - along, axis=-1))

    def flow(points: Floats) -> tuple[Floats, Floats]:
        speed = 2 * mean_speed * (1 - (distance(points) / radius) ** 2)
        slope = -8 * fluid.viscosity * mean_speed / radius**2
        return speed[:, None] * direction, slope * ((points - centre) @ direction)

    return flow, distance


class Wedge:
    """Jeffery-Hamel flow between two inclined walls: exact steady Navier-Stokes with no slip.

    half_angle  radians
    reynolds    mean speed times throat width over kinematic viscosity; negative for flow towards the apex
    throat      metres across at the inner radius; the outer radius is twice the inner one
    """

    def __init__(self, half_angle: float, reynolds: float, throat: float, fluid: Fluid, tilt: float = 0.3) -> None:
        self.half_angle, self.tilt, self.fluid = half_angle, tilt, fluid
        self.inner = throat / (2 * half_angle)
        nu = fluid.viscosity / fluid.density
        mean = reynolds * nu / throat * self.inner  # mean of r u_r over the angle

        def slope(_: Floats, y: Floats, p: Floats) -> Floats:
            return np.stack([y[1], (p[0] - 4 * nu * y[0] - y[0] ** 2) / nu, y[0]])

        def ends(left: Floats, right: Floats, _: Floats) -> Floats:
            return np.array([left[0], right[0], left[2], right[2] - mean * 2 * half_angle])

        t = np.linspace(-half_angle, half_angle, 401)
        start = np.stack(
            [
                1.5 * mean * (1 - (t / half_angle) ** 2),
                -3 * mean * t / half_angle**2,
                mean * (t + half_angle),
            ]
        )
        found = solve_bvp(slope, ends, t, start, p=[mean**2 * 1.2], tol=1e-8, max_nodes=20000)
        if not found.success:
            message = f"no Jeffery-Hamel flow found: {found.message}"
            raise RuntimeError(message)
        self.profile, self.constant, self.nu = found.sol, float(found.p[0]), nu

    def lumen(self, across: int, layers: int = 6) -> tuple[NDArray[np.bool_], Floats, tuple[float, float, float]]:
        """Voxels inside: mask, centres and spacing, `across` voxels over the throat."""
        step = 2 * self.half_angle * self.inner / across
        outer = 2 * self.inner
        shape = (int(np.ceil(1.05 * outer / step)), int(np.ceil(outer / step)), layers)
        points = centres(shape, (step,) * 3) - np.array([0, outer / 2, 0])
        radius, angle = self._polar(points)
        mask = (np.abs(angle) < self.half_angle) & (radius > self.inner) & (radius < outer)
        return mask, points, (step,) * 3

    def _polar(self, points: Floats) -> tuple[Floats, Floats]:
        return np.hypot(points[..., 0], points[..., 1]), np.arctan2(points[..., 1], points[..., 0]) - self.tilt

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        """Velocity and pressure at points (n, 3)."""
        radius, angle = self._polar(points)
        flow = self.profile(angle)[0]
        speed = flow / radius
        u = np.stack([speed * np.cos(angle + self.tilt), speed * np.sin(angle + self.tilt), 0 * speed], axis=1)
        return u, self.fluid.density * (4 * self.nu * flow - self.constant) / (2 * radius**2)


class Tube:
    """Poiseuille flow in a straight tube of any direction, cut by two planes, with its caps.

    steps      voxels of the box
    spacing    metres
    radius     metres; the tube leads through the middle of the box
    direction  of flow, from opening 2 (inlet) to opening 3 (outlet)
    length     metres between the planes

    Every voxel (x, y, z) lies `away` from the axis and, from the middle of the tube, `along` it; metres.
    """

    def __init__(
        self,
        steps: tuple[int, int, int],
        spacing: tuple[float, float, float],
        radius: float,
        direction: tuple[float, float, float],
        length: float,
        mean_speed: float = 0.2,
        fluid: Fluid = BLOOD,
    ) -> None:
        self.spacing = spacing
        self.points = centres(steps, spacing)
        middle = np.array(steps) * np.array(spacing) / 2
        axis = np.array(direction) / np.linalg.norm(direction)
        flow, distance = poiseuille(radius, mean_speed, axis, middle, fluid)
        along = (self.points - middle) @ axis
        near, cap = distance(self.points), 3 * max(spacing)
        self.mask = (near < radius) & (np.abs(along) < length / 2)
        self.away, self.along = near, along
        self.marks = np.zeros(steps, dtype=np.int16)
        beyond = (near < radius + max(spacing)) & (np.abs(along) < length / 2 + cap) & ~self.mask
        self.marks[beyond & (along <= -length / 2)] = 2
        self.marks[beyond & (along >= length / 2)] = 3
        self.drop = 8 * fluid.viscosity * mean_speed * length / radius**2
        self.flux = np.pi * radius**2 * mean_speed
        self.flow = flow
        self.speed = np.zeros(steps)
        self.speed[self.mask] = np.linalg.norm(self.sample(self.mask), axis=1)

    def sample(self, mask: NDArray[np.bool_]) -> Floats:
        """Velocity (n, 3) at the voxels of a mask."""
        return self.flow(self.points[mask])[0]
