"""The stage `pde.invert`: the permeability behind observed pressures, as a posterior."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import GridField, Metrics, Model, Picture, Table
from voxfield.errors import SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.pde.inverse._darcy import Floats, Observations
    from voxfield.pde.inverse._dgno import DeepGenerativeOperator
    from voxfield.pde.inverse._posterior import Posterior
    from voxfield.pde.inverse._sampler import Population

APART = 0.5  # disagreement of populations, in standard deviations, above which it is told
MISFIT = 1.5  # root mean square of standardised residuals, likewise


class Inversion(NamedTuple):
    """What `pde.invert` makes."""

    permeability: GridField
    pressure: GridField
    samples: GridField
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(mem_mb=3000, runtime=30), version=1)
def invert(
    observations: Table,
    model: Model | None = None,
    *,
    method: Literal["finite_volume", "learned", "corrected"] = "finite_volume",
    prior: Literal["level_set", "latent"] = "level_set",
    low: Annotated[float, Gt(0)] = 5.0,
    high: Annotated[float, Gt(0)] = 10.0,
    forcing: Annotated[float, Gt(0)] = 10.0,
    cells: Annotated[int, Ge(8), Le(128)] = 29,
    waves: Annotated[int, Ge(2), Le(64)] = 10,
    tau: Annotated[float, Gt(0)] = 3.0,
    draws: Annotated[int, Ge(16), Le(10_000)] = 150,
    moves: Annotated[int, Ge(1), Le(1000)] = 10,
    populations: Annotated[int, Ge(2), Le(64)] = 2,
    ctx: Context = Context(),
) -> Inversion:
    """Find where a Darcy flow meets the one or the other permeability, from scattered observations of its pressure.

    -div(a grad u) = forcing on the unit square, u = 0 on its boundary. The permeability a is `high` where a Gaussian
    field is positive and `low` elsewhere (a level-set prior, arXiv 1504.00313); draws of it are annealed from the
    prior to the posterior (arXiv 1302.7205).

    observations  columns x, y (inside the unit square), value (of u) and sd (of its independent Gaussian error)
    model         of `pde.inverse_train`, for the methods that ask it; it was made for one equation and prior
    permeability  posterior mean on the cells, with standard deviation
    pressure      likewise, by finite volumes
    samples       every draw of the permeability: axes draw, x, y
    metrics       `residual`: root mean square of (value - mean pressure) / sd. `disagreement`: what independent
                  populations differ by, in posterior standard deviations (sampling alone leaves about .1).
                  `forward_error` and `cycle_error` of a model over the draws: relative L2 of its pressure against
                  finite volumes, and of the permeability that it encodes and decodes. `log_evidence`, `ancestors`,
                  `evaluations` of each population, and `assumed`, what the posterior is conditional on
    picture       mean, standard deviation and three draws; dots are observations

    Settings
    method: whose pressures are believed: `finite_volume`; `learned`, the model with its measured error added to the
        noise; or `corrected`, draws of the learned posterior annealed to that of finite volumes
    prior: of the level set, or of the model's latent vector, normal before tanh as its encoder spreads them
    low, high: the two permeabilities
    forcing: right side of the equation
    cells: of the grid along an axis
    waves: half periods of the Gaussian field along an axis, fewer than this
    tau: inverse length of its correlation
    draws: of a population
    moves: of each draw at every temperature, four times as many at the last
    populations: independent ones, whose draws are put together

    A model brings low, high, forcing, cells, waves and tau of its own; others are refused. Raises InputError for
    observations that are missing, off the square or without error, and SettingsError for a method without its model.
    """
    import numpy as np

    from voxfield.pde.inverse._dgno import Darcy
    from voxfield.pde.inverse._infer import Inference
    from voxfield.pde.inverse._observed import observed
    from voxfield.pde.inverse._picture import inversion_figure
    from voxfield.pde.inverse._sampler import Effort
    from voxfield.pde.inverse._stored import from_model

    if high <= low:
        raise SettingsError(f"high is {high:g}, low is {low:g}; high has to be the larger")
    if model is None and (method != "finite_volume" or prior != "level_set"):
        raise SettingsError(f"method {method} with the prior {prior} needs a model; give one of pde.inverse_train")
    seen, darcy = observed(observations), Darcy(low, high, forcing, cells, waves, tau)
    network = None if model is None else from_model(model)
    if network is not None and network.darcy != darcy:
        raise SettingsError(f"the model was made for {network.darcy}; the settings say {darcy}")
    inference = Inference(darcy, method, network, prior)
    found, runs = inference.run(seen, Effort(draws, moves), populations, np.random.default_rng(ctx.seed))
    metrics = {**_metrics(found, runs, seen, network), "method": method, "prior": prior, "assumed": _assumed(darcy)}
    _report(metrics, ctx)
    permeability, samples = _field(found.permeability, "a"), _samples(found.permeability)
    picture = inversion_figure(permeability, samples, seen.points)
    return Inversion(permeability, _field(found.pressure, "u"), samples, Metrics(metrics), picture)


def _metrics(
    found: "Posterior", runs: "list[Population]", seen: "Observations", network: "DeepGenerativeOperator | None"
) -> dict[str, Any]:
    import numpy as np

    from voxfield.pde.inverse._darcy import sampling_matrix
    from voxfield.pde.inverse._latent import model_errors

    mean = found.pressure.mean(axis=0)
    misfit = (sampling_matrix(seen.points, len(mean)) @ mean.ravel() - seen.values) / seen.sd
    errors = (None, None) if network is None else model_errors(network, found.permeability, found.pressure)
    return {
        "observations": len(seen.values),
        "draws": len(found.permeability),
        "residual": float(np.sqrt(np.mean(misfit**2))),
        "disagreement": found.disagreement,
        "forward_error": errors[0],
        "cycle_error": errors[1],
        "log_evidence": [run.log_evidence for run in runs],
        "ancestors": [len(np.unique(run.ancestors)) for run in runs],
        "temperatures": [run.temperatures for run in runs],
        "acceptance": [run.acceptance for run in runs],
        "evaluations": [run.evaluations for run in runs],
    }


def _assumed(darcy: Any) -> list[str]:
    return [
        f"the permeability is {darcy.low:g} or {darcy.high:g}, and nothing between",
        f"where the one ends is the zero of a Gaussian field with covariance (-lap + {darcy.tau:g}^2)^-2 on the unit "
        f"square, its mean 0, without waves of {darcy.waves} half periods or more",
        f"the flow is driven by {darcy.forcing:g} everywhere, and u is 0 on the boundary",
        f"errors of observations are Gaussian, independent and of the given sd; that of {darcy.cells} x {darcy.cells} "
        "finite volumes is none",
    ]


def _report(metrics: dict[str, Any], ctx: Context) -> None:
    if metrics["disagreement"] > APART:
        text = f"populations differ by {metrics['disagreement']:.2f} standard deviations; raise draws or moves"
        ctx.finding("populations-disagree", "warning", text, value=metrics["disagreement"])
    if metrics["residual"] > MISFIT:
        text = f"the mean pressure misses the observations by {metrics['residual']:.2f} of their sd; no permeability "
        text += "of the prior explains them, or their sd is too small"
        ctx.finding("misfit", "warning", text, value=metrics["residual"])


def _field(draws: "Floats", name: str) -> GridField:
    sd = draws.std(axis=0, ddof=1)
    axes = _axes(draws.shape[-1])
    return GridField(axes, draws.mean(axis=0), sd, name=name, unit="1", units=dict.fromkeys(axes, "1"))


def _samples(draws: "Floats") -> GridField:
    import numpy as np

    axes = {"draw": np.arange(len(draws)), **_axes(draws.shape[-1])}
    return GridField(axes, draws, name="a", unit="1", units=dict.fromkeys(axes, "1"))


def _axes(count: int) -> dict[str, "Floats"]:
    from voxfield.pde.inverse._darcy import centres

    return {"x": centres(count), "y": centres(count)}
