"""The stage `fields.fit`: a domain and observations on it -> a model of the field."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Manifold, Metrics, Model, PointField
from voxfield.errors import InputError, SettingsError, about
from voxfield.stage import Context, Resources, stage


class Fit(NamedTuple):
    """What `fields.fit` makes."""

    model: Model
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=15), version=1)
def fit(
    domain: Manifold,
    observed: PointField,
    *,
    kernel: Literal["sum", "intrinsic", "ambient"] = "sum",
    spectrum: Literal["matern", "heat"] = "matern",
    smoothness: Literal["evidence", "matern-3/2", "matern-5/2", "gaussian"] = "evidence",
    modes: Annotated[int, Ge(2), Le(1000)] = 100,
    noise_sd: Annotated[float, Gt(0)] | None = None,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> Fit:
    """Fit a Gaussian process to vectors or scalars observed at some points of a domain.

    domain    of `fields.graph`
    observed  (s, d) vectors or (s, 1) scalars, at points of the domain or between them; of vectors the tangent part is
              used
    model     everything that `fields.predict` needs: domain, modes, observations and settings
    metrics   the settings chosen (unit of the points and of the field), their evidence, the noise, and
              frame_error_rad (root mean square, scaled to the normal part of what was observed)

    The kernel sums an intrinsic part, a spectral density over modes of the connection Laplacian (RVGP), and an ambient
    one, a stationary field in space seen through the tangent planes and told along the domain only. Length, smoothness,
    share of the parts, variance and noise are chosen by the evidence; see `manifold._field`.

    Settings
    kernel: sum weighs both parts by evidence; intrinsic is RVGP's, with the variance that its modes leave out put back;
        ambient needs no modes
    spectrum: density of the intrinsic part; its smoothness (Matern) and length are learned
    smoothness: of the ambient part; evidence tries gaussian and matern-5/2
    modes: of the Laplacian, fewer on a small domain
    noise_sd: standard deviation of the noise of a component, unit of the field; by default learned. Not for intrinsic
    licence: of the observations; written into the model

    Raises InputError for fewer than 8 observations, and for points off the domain (3 edge lengths from every node).

    Source: RVGP, arXiv 2309.16746.
    """
    import torch

    from voxfield.fields.manifold import SMOOTHNESSES, Wishes, _stored
    from voxfield.fields.manifold import fit as fit_field

    if kernel == "intrinsic" and noise_sd is not None:
        raise SettingsError("noise_sd is for the kernels sum and ambient: intrinsic learns its noise by its spectrum")
    where = _stored.domain_of(domain.arrays)
    if observed.points.shape[1] != domain.points.shape[1]:
        raise InputError(
            f"has points of {observed.points.shape[1]} coordinates, the domain of {domain.points.shape[1]}",
            file=observed.file,
        )
    wishes = Wishes(kernel, spectrum, SMOOTHNESSES if smoothness == "evidence" else (smoothness,), noise_sd)
    with about(observed.file):
        field = fit_field(where, observed.points, observed.vectors, wishes=wishes, count=modes, seed=ctx.seed)
    arrays, config = _stored.pack(field, domain.arrays)
    config["unit"] = observed.unit
    model = Model(
        {name: torch.from_numpy(array) for name, array in arrays.items()}, config,
        family=_stored.FAMILY, architecture=kernel, licence=licence,
    )  # fmt: skip
    return Fit(model, Metrics(_stored.account(field) | {"unit": observed.unit}))
