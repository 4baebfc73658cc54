"""The stage `pde.inverse_train`: a deep generative operator of Darcy flow, from the equation alone."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Metrics, Model
from voxfield.errors import SettingsError
from voxfield.stage import Context, Resources, stage

TAIL = 50  # steps that a reported loss is averaged over


class InverseTraining(NamedTuple):
    """What `pde.inverse_train` makes."""

    model: Model
    metrics: Metrics


@stage(resources=Resources(mem_mb=3000, runtime=120), version=1)
def inverse_train(
    *,
    low: Annotated[float, Gt(0)] = 5.0,
    high: Annotated[float, Gt(0)] = 10.0,
    forcing: Annotated[float, Gt(0)] = 10.0,
    cells: Annotated[int, Ge(8), Le(128)] = 29,
    waves: Annotated[int, Ge(2), Le(64)] = 10,
    tau: Annotated[float, Gt(0)] = 3.0,
    latent: Annotated[int, Ge(2), Le(512)] = 64,
    width: Annotated[int, Ge(8), Le(512)] = 64,
    depth: Annotated[int, Ge(3), Le(12)] = 4,
    steps: Annotated[int, Ge(1), Le(1_000_000)] = 3000,
    batch: Annotated[int, Ge(2), Le(1024)] = 64,
    learning_rate: Annotated[float, Gt(0), Le(0.1)] = 3e-3,
    judged: Annotated[int, Ge(2), Le(1000)] = 64,
    ctx: Context = Context(),
) -> InverseTraining:
    """Train a deep generative neural operator on Darcy flow through piecewise constant permeabilities.

    -div(a grad u) = forcing on the unit square, u = 0 on its boundary; a is `high` where a Gaussian field is positive
    and `low` elsewhere. The training sees permeabilities and weak residuals, never a solution (Zang and
    Koutsourelakis, arXiv 2502.06250).

    model    encoder, and decoders of permeability, pressure and flux; for `pde.invert`
    metrics  the parts of the loss, averaged over the last steps: `equation` (squared weak residual, 1 without flow),
             `law` (squared error of Darcy's law), `permeability` (cross entropy); `forward_error`, the median
             relative L2 error of the pressure over new permeabilities, against finite volumes

    Settings
    low, high: the two permeabilities
    forcing: right side of the equation
    cells: of the grid along an axis
    waves: half periods of the Gaussian field along an axis, fewer than this
    tau: inverse length of its correlation
    latent: numbers that describe a permeability
    width: of the layers of the networks
    depth: their number, of which the last three are used
    steps: of the training
    batch: permeabilities a step, each drawn anew
    learning_rate: the first, of Adam; it falls to zero by half a cosine
    judged: new permeabilities that the forward error is measured on

    Raises SettingsError where `high` is not above `low`; InputError where the training diverges.
    """
    import numpy as np

    from voxfield.pde.inverse._dgno import Darcy, Sizes
    from voxfield.pde.inverse._stored import to_model
    from voxfield.pde.inverse._train import Recipe, forward_error, train

    if high <= low:
        raise SettingsError(f"high is {high:g}, low is {low:g}; high has to be the larger")
    recipe = Recipe(steps, batch, learning_rate=learning_rate)
    network, history = train(
        Darcy(low, high, forcing, cells, waves, tau), Sizes(latent, width, depth), recipe,
        seed=ctx.seed, progress=lambda numbers: ctx.progress(numbers, desc="train"),
    )  # fmt: skip
    found = {name: float(np.mean(values[-TAIL:])) for name, values in history.items()}
    found["forward_error"] = forward_error(network, fields=judged, seed=ctx.seed + 1)
    return InverseTraining(to_model(network, {"steps": steps, "batch": batch, **found}), Metrics(found))
