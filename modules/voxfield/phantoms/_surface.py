"""The stage `phantoms.surface`: a closed surface with a smooth tangent field, known exactly, measured in places."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Mesh, PointField
from voxfield.stage import Context, Resources, stage


class SurfacePhantom(NamedTuple):
    """What `phantoms.surface` makes."""

    mesh: Mesh
    truth: PointField
    observed: PointField
    cloud: PointField


@stage(resources=Resources(mem_mb=1000, runtime=5), version=1)
def surface(
    *,
    shape: Literal["sphere", "bumpy", "torus"] = "bumpy",
    vertices: Annotated[int, Ge(50), Le(1_000_000)] = 1000,
    radius_mm: Annotated[float, Gt(0)] = 50.0,
    wavelength_mm: Annotated[float, Gt(0)] = 120.0,
    observed_share: Annotated[float, Gt(0), Le(1)] = 0.3,
    noise_share: Annotated[float, Ge(0), Le(10)] = 0.1,
    unit: str = "m/s",
    ctx: Context = Context(),
) -> SurfacePhantom:
    """Make a closed surface and a tangent field on it, and measure the field at a random part of its vertices.

    mesh      vertices spread evenly, mm; triangles oriented outward
    truth     the field at every vertex, in the order of the mesh, with exact tangent frames; root mean square 1
    observed  at the observed vertices, in the order of the mesh: the field with noise in its tangent components, whose
              standard deviation is `sd`
    cloud     the vertices alone, without vectors (they are 0) or frames, as if nobody knew the surface

    The field is the projection of a sum of random plane waves on the tangent planes: no Laplacian has a part in it.

    Settings
    shape: of the surface: a sphere, a sphere with smooth bumps, or a torus, whose tube has 0.4 times its radius
    vertices: how many; a torus has about as many
    radius_mm: of the sphere, on average, or of the circle of the torus, mm
    wavelength_mm: of the waves, mm
    observed_share: share of the vertices where the field is measured; at least one
    noise_share: standard deviation of a tangent component's noise, over the field's root mean square
    unit: of the field
    """
    import numpy as np

    from voxfield.frames import tangent_frames
    from voxfield.phantoms._closed_surfaces import SURFACES, tangent_field

    of_shape, of_field, of_places, of_noise = ctx.rng().spawn(4)
    made = SURFACES[shape](vertices, radius_mm, of_shape)
    field = tangent_field(made, wavelength_mm, of_field)
    frames = tangent_frames(made.normals)
    count = len(field)
    seen = np.sort(of_places.choice(count, max(1, round(observed_share * count)), replace=False))
    noise = np.einsum("nij,nj->ni", frames[seen], noise_share * of_noise.standard_normal((len(seen), 2)))
    sd = noise_share * np.sqrt(np.square(frames[seen]).sum(axis=2))
    return SurfacePhantom(
        Mesh(made.vertices, made.triangles),
        PointField(made.vertices, field, frames, unit=unit),
        PointField(made.vertices[seen], field[seen] + noise, frames[seen], sd, unit=unit),
        PointField(made.vertices, np.zeros_like(field), unit=unit),
    )
