"""The stage `fields.predict`: a fitted field -> mean, standard deviation and samples anywhere on its domain."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Metrics, Model, PointField, PointSamples
from voxfield.errors import InputError, about
from voxfield.stage import Context, Resources, stage


class FieldPrediction(NamedTuple):
    """What `fields.predict` makes."""

    field: PointField
    samples: PointSamples
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=15), version=1)
def predict(
    model: Model,
    points: PointField | None = None,
    *,
    samples_count: Annotated[int, Ge(16), Le(1000)] = 16,
    ctx: Context = Context(),
) -> FieldPrediction:
    """Predict a field at the points of its domain, or at any points near it.

    model    of `fields.fit`
    points   (p, d) where to predict, its vectors are not looked at; by default all points of the domain, in order
    field    mean vectors (p, d), or scalars (p, 1), with tangent frames and the standard deviation of each component:
             of the field itself, without noise; it includes the estimated error of the frames
    samples  joint draws at the same points
    metrics  the settings of the model, mean_sd (of the vector) and frame_error_rad at these points

    Super-resolution is predicting at more points than were observed, inpainting at points around which none were.

    Settings
    samples_count: joint draws

    Raises InputError for a model of another family, and for points off the domain (3 edge lengths from every node).

    Source: RVGP, arXiv 2309.16746; what differs is told in `manifold._field`.
    """
    import numpy as np

    from voxfield.fields.manifold import _stored

    if model.family != _stored.FAMILY:
        raise InputError(
            f"is a model of the family {model.family!r}; expected {_stored.FAMILY!r}, of `fields.fit`", file=model.file
        )
    field = _stored.unpack({name: tensor.numpy() for name, tensor in model.weights.items()}, model.config)
    places = field.nodes
    if points is not None:
        with about(points.file):
            places = field.attach(points.points)
    found = field.predict(places)
    draws = field.sample(samples_count, ctx.rng(), places)
    unit = model.config["unit"]
    frames = None if found.mean.shape[1] == 1 else places.bases
    error = field.tilt * places.error
    facts = {
        **_stored.account(field),
        "points": len(places),
        "mean_sd": float(np.linalg.norm(found.sd, axis=1).mean()),
        "frame_error_rad": float(np.sqrt(np.mean(np.square(error)))),
        "unit": unit,
    }
    return FieldPrediction(
        PointField(places.points, found.mean, frames, found.sd, unit=unit),
        PointSamples(places.points, draws, unit=unit),
        Metrics(facts),
    )
