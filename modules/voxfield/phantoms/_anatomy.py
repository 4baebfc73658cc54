"""Random branching vessels: a trunk, one to three bifurcations, smooth curved centerlines, stenoses.

Radii follow Murray's law at every bifurcation, r_parent^3 = r_1^3 + r_2^3 (Murray, PNAS 12, 1926), so that wall
shear stays equal and the flow divides as the cubes of the radii. A stenosis is a cosine dip of the radius
(Young & Tsai, J. Biomech. 6, 1973, fig. 1).

The same sampler serves the vessel phantom and the grading cohort. A seed 2 n + side stands for one side of
patient n: both sides share what belongs to the patient (calibre, disease, flow), the rest is drawn per side.
Flow and blood are part of the sample, yet nothing of them shows in the geometry.

Units: mm, m^3/s, Pa s. The box of every anatomy is `BOX_MM`; vessels enter at z = 0 and leave towards +z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

BOX_MM = (33.6, 33.6, 50.4)
DENSITY_KG_PER_M3 = 1060.0
VISCOSITY_PA_S = 0.0035
STEP_MM = 0.15
"""Distance of centerline points."""
LEAST_THROAT_MM = 1.25
"""No stenosis is narrower: the flow through it could not be resolved."""
MOST_THROAT_REYNOLDS = 220.0
"""Flow is drawn no stronger than this in any throat: jets beyond would not stay steady."""


@dataclass(frozen=True)
class Stenosis:
    """A narrowing: share of the radius lost at the throat, place of the throat and length along the branch."""

    degree: float
    place_mm: float
    length_mm: float


@dataclass(frozen=True)
class Branch:
    """A vessel between two bifurcations or ends.

    points    (n, 3)  centerline, mm in the box
    radii     (n,)    mm, stenoses included
    healthy   (n,)    mm, without them
    calibre   radius that Murray's law gives at its start
    parent    index of the branch that it leaves, -1 for the trunk
    share     fraction of the inflow that it carries
    """

    points: Real
    radii: Real
    healthy: Real
    calibre: float
    parent: int
    generation: int
    share: float
    stenoses: tuple[Stenosis, ...]

    @property
    def arc(self) -> Real:
        """Distance along the centerline, (n,) mm."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def stenosis(self) -> float:
        """1 - d_min / d_distal: the narrowest point against the branch's own calibre at its far end (NASCET)."""
        return max((s.degree for s in self.stenoses), default=0.0)


@dataclass(frozen=True)
class Anatomy:
    """One vessel tree with its hidden physiology.

    branches         parents stand before their children
    reynolds         of the inflow: density, mean velocity, inlet diameter, viscosity
    viscosity_pa_s   of this subject's blood
    """

    branches: tuple[Branch, ...]
    reynolds: float
    viscosity_pa_s: float
    density_kg_per_m3: float = DENSITY_KG_PER_M3

    @property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """For every branch the branches that leave it."""
        return tuple(tuple(j for j, b in enumerate(self.branches) if b.parent == i) for i in range(len(self.branches)))

    @property
    def leaves(self) -> tuple[int, ...]:
        """Branches that end in an outlet."""
        return tuple(i for i, c in enumerate(self.children) if not c)

    @property
    def inflow_m3_per_s(self) -> float:
        """Re = rho U D / mu with Q = U pi D^2 / 4 gives Q = pi Re mu D / (4 rho)."""
        diameter = 2e-3 * self.branches[0].radii[0]
        return float(np.pi * self.reynolds * self.viscosity_pa_s * diameter / (4 * self.density_kg_per_m3))


@dataclass(frozen=True)
class _Patient:
    """What both sides of a patient have in common."""

    radius_mm: float
    disease: float
    reynolds: float
    viscosity_pa_s: float


def sample_anatomy(seed: int, *, stenoses: int | None = None, bifurcations: int | None = None) -> Anatomy:
    """One side of patient seed // 2, side seed % 2.

    stenoses      their number, or None to draw it
    bifurcations  1 to 3, or None to draw it
    """
    patient = _sample_patient(np.random.default_rng([seed // 2, 0x5EED]))
    rng = np.random.default_rng([seed // 2, 1 + seed % 2])
    count = int(rng.choice([1, 2, 3], p=[0.3, 0.4, 0.3]))
    radius = float(np.clip(patient.radius_mm * rng.lognormal(0, 0.04), 2.5, 3.4))
    layout = _layout(rng, radius, count if bifurcations is None else bifurcations)
    drawn = int(rng.binomial(3, 1 / (1 + np.exp(-patient.disease - 0.6 * rng.standard_normal()))))
    branches = _narrow(rng, layout, drawn if stenoses is None else stenoses, patient.disease)
    # Re in a throat over Re of the inflow: share of the flow times inlet radius over throat radius.
    jet = max(b.share * branches[0].radii[0] / b.radii.min() for b in branches)
    strongest = min(200.0, MOST_THROAT_REYNOLDS / jet)
    reynolds = float(np.clip(patient.reynolds * rng.lognormal(0, 0.15), 50, strongest))
    return Anatomy(tuple(branches), reynolds, patient.viscosity_pa_s)


def _sample_patient(rng: np.random.Generator) -> _Patient:
    return _Patient(
        radius_mm=float(np.clip(rng.normal(3.0, 0.2), 2.6, 3.3)),
        disease=float(rng.normal(-0.5, 0.8)),
        reynolds=float(np.exp(rng.uniform(np.log(55), np.log(185)))),
        viscosity_pa_s=float(VISCOSITY_PA_S * np.clip(rng.lognormal(0, 0.12), 0.75, 1.35)),
    )


def _layout(rng: np.random.Generator, radius: float, bifurcations: int) -> list[Branch]:
    """Centerlines and healthy radii of a tree with the given number of bifurcations."""
    width, depth, height = BOX_MM
    up = np.array([0.0, 0.0, 1.0])
    start = np.array([width / 2, depth / 2, 0.0]) + np.append(rng.uniform(-1.5, 1.5, 2), 0)
    fork = np.array([width / 2, depth / 2, 0.0]) + np.append(rng.uniform(-2, 2, 2), height * rng.uniform(0.32, 0.42))
    lean = _tilted(up, rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.2))
    branches = [_branch(rng, start, up, fork, lean, radius, radius, -1, 0, 1.0)]
    azimuth = rng.uniform(0, 2 * np.pi)
    forks_again = {1: (), 2: (int(rng.integers(2)),), 3: (0, 1)}[bifurcations]
    for side in range(2):
        _grow(rng, branches, 0, azimuth + side * np.pi, rng.uniform(6.3, 7.6), lean, side in forks_again)
    return branches


def _grow(
    rng: np.random.Generator,
    branches: list[Branch],
    parent: int,
    azimuth: float,
    reach: float,
    direction: Real,
    forks: bool,
) -> None:
    """Add a daughter that leaves the end of `parent` towards `azimuth`, and its own daughters if it forks."""
    up = np.array([0.0, 0.0, 1.0])
    mother = branches[parent]
    sibling = [b for b in branches if b.parent == parent]
    cube = mother.healthy[-1] ** 3
    calibre = float(
        (cube - sibling[0].calibre ** 3) ** (1 / 3) if sibling else (cube * rng.uniform(0.36, 0.64)) ** (1 / 3)
    )
    share = mother.share * calibre**3 / cube
    height = BOX_MM[2]
    top = height * rng.uniform(0.64, 0.70) if forks else height
    root = mother.points[-1]
    side = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    end = np.append(root[:2], 0) + reach * side + np.array([0, 0, top])
    leave = _tilted(direction, azimuth, rng.uniform(0.5, 0.7))
    arrive = _tilted(up, azimuth, rng.uniform(0, 0.2)) if forks else up
    generation = mother.generation + 1
    branches.append(_branch(rng, root, leave, end, arrive, mother.healthy[-1], calibre, parent, generation, share))
    if forks:
        index = len(branches) - 1
        turn = azimuth + np.pi / 2 + rng.uniform(-0.35, 0.35)
        for flip in range(2):
            _grow(rng, branches, index, turn + flip * np.pi, rng.uniform(4.2, 5.2), arrive, False)


def _branch(
    rng: np.random.Generator,
    start: Real,
    leave: Real,
    end: Real,
    arrive: Real,
    from_radius: float,
    calibre: float,
    parent: int,
    generation: int,
    share: float,
) -> Branch:
    points = _curve(rng, start, leave, end, arrive)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    taper = 1 - rng.uniform(0.0, 0.06) * arc / arc[-1]
    # The daughter leaves the mother with nearly her radius and has her own after one diameter.
    blend = np.clip(arc / (2.0 * from_radius), 0, 1)
    blend = blend * blend * (3 - 2 * blend)
    first = calibre + 0.8 * (from_radius - calibre)
    healthy = (first + (calibre - first) * blend) * taper
    return Branch(points, healthy, healthy, calibre, parent, generation, share, ())


def _curve(rng: np.random.Generator, start: Real, leave: Real, end: Real, arrive: Real) -> Real:
    """Cubic Hermite curve with a gentle sideways swing that leaves ends and end directions as they are, (n, 3)."""
    chord = float(np.linalg.norm(end - start))
    t = np.linspace(0, 1, 400)[:, None]
    points = (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * chord * leave
        + (3 * t**2 - 2 * t**3) * end
        + (t**3 - t**2) * chord * arrive
    )
    angle = rng.uniform(0, 2 * np.pi)
    swing = rng.uniform(0.02, 0.05) * chord * np.array([np.cos(angle), np.sin(angle), 0.0])
    points = points + np.sin(np.pi * t) ** 2 * np.sin(2 * np.pi * (t + rng.uniform())) * swing
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    even = np.linspace(0, arc[-1], max(8, round(arc[-1] / STEP_MM)) + 1)
    return np.stack([np.interp(even, arc, points[:, axis]) for axis in range(3)], axis=1)


def _tilted(direction: Real, azimuth: float, angle: float) -> Real:
    """`direction` tilted by `angle` (radian) towards the horizontal direction of `azimuth`."""
    side = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    side = side - (side @ direction) * direction
    side /= np.linalg.norm(side)
    tilted: Real = np.cos(angle) * direction + np.sin(angle) * side
    return tilted


def _narrow(rng: np.random.Generator, branches: list[Branch], count: int, disease: float) -> list[Branch]:
    """Put `count` stenoses on different branches, away from their ends."""
    weights = np.array([2.0 if b.parent < 0 else b.share for b in branches])
    hosts = rng.choice(len(branches), size=min(count, len(branches)), replace=False, p=weights / weights.sum())
    result = list(branches)
    for host in hosts:
        branch = branches[int(host)]
        arc = branch.arc
        length = min(rng.uniform(2.6, 3.8) * branch.calibre, 0.55 * arc[-1])
        # Not in the mouth of the branch, and with room before its end.
        low, high = max(1.2 * branch.calibre, 0.2 * arc[-1]) + length / 2, 0.92 * arc[-1] - length / 2
        place = rng.uniform(min(low, high), max(low, high))
        throat = np.interp(place, arc, branch.healthy)
        wanted = 0.18 + 0.47 / (1 + np.exp(-1.2 * disease - rng.normal(0, 1.0)))
        degree = float(min(wanted, 1 - LEAST_THROAT_MM / throat))
        stenosis = Stenosis(degree, float(place), float(length))
        result[int(host)] = replace(branch, radii=branch.healthy * _dip(arc, stenosis), stenoses=(stenosis,))
    return result


def _dip(arc: Real, stenosis: Stenosis) -> Real:
    s = (arc - stenosis.place_mm) / stenosis.length_mm
    bell = np.where(np.abs(s) < 0.5, 0.5 * (1 + np.cos(2 * np.pi * s)), 0.0)
    return 1 - stenosis.degree * bell
