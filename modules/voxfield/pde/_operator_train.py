"""The stage `pde.operator_train`: a network that maps the input field of Darcy flow to its solution."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield.artifacts import GridField, Metrics, Model, Problem
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.pde.operators._pairs import Pairs
    from voxfield.pde.problem import Box

CURVE = 50  # stretches of steps whose mean losses are told


class OperatorTraining(NamedTuple):
    """What `pde.operator_train` makes."""

    model: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=6000, runtime=120, threads=2), version=1, distributed=True)
def operator_train(
    problem: Problem,
    inputs: GridField,
    solutions: GridField,
    test_inputs: Sequence[GridField] = (),
    test_solutions: Sequence[GridField] = (),
    *,
    network: str = "lsm",
    arguments: dict[str, int] = {},  # noqa: B006 - settings are validated into a fresh copy
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000,
    batch: Annotated[int, Ge(1), Le(4096)] = 10,
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.003,
    average: Annotated[float, Ge(0), Lt(1)] = 0.99,
    hold_out: Annotated[float, Gt(0), Lt(1)] = 0.1,
    checkpoint_every: Annotated[int, Ge(1)] = 200,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> OperatorTraining:
    """Learn the map from the input field of a Darcy problem to its solution, and judge it beside a classical solve.

    problem         div(a grad u) = f on a box of 2 or 3 axes, u zero on its faces; `"div(a grad u)": given`
    inputs          samples of the field that a follows from: the axis `sample`, then those of the box, equidistant
    solutions       u of every sample, on the same points
    test_inputs     samples on other grids of the same box, which are judged on only
    test_solutions  their solutions, in the same order
    model           weights, scales, points, the problem, and the two parameters of the classical solve
    metrics         mean relative L2 error on what was held out and on every test grid, `learned`, and beside it
                    `classical`: finite volumes on the same points with a = low + slope * input, both numbers fitted
                    on 40 samples that train; losses by step

    Settings
    network: lsm (latent spectral model), fno (Fourier neural operator), neuralop_fno (that of the package
        neuraloperator, where it is installed), or that of an installed package (`voxfield.pde.operators`)
    arguments: of the network, such as width, levels and patch of lsm, or width, modes and layers of fno
    steps: updates of the weights
    batch: samples of an update; several processes share them
    learning_rate: highest rate of AdamW; a short warm-up, then half a cosine down to 0
    average: decay of the moving average of the weights, which is the result
    hold_out: share of the samples that is held out, drawn by seed
    checkpoint_every: steps between checkpoints
    licence: of the data; written into the model

    Pairs are also shown under the exchanges and reflections of the axes that the box, its points and the forcing allow.
    Where the classical solve is better, the finding is `classical-better`. A training that was killed goes on from its
    last checkpoint and ends with the same bytes. Several GPUs: `voxfield pde.operator_train --processes 4 ...`, the
    weights of one process up to rounding. Raises InputError for pairs on different points, values that are not
    finite, and fields that do not vary; SettingsError for another kind of problem and an unknown network.
    """
    from voxfield.pde.operators import weights_of
    from voxfield.pde.operators._fit import fit
    from voxfield.pde.operators._judging import judge
    from voxfield.pde.operators._pairs import read_pairs
    from voxfield.pde.operators._problem import darcy_problem
    from voxfield.pde.operators._training import Plan

    darcy = darcy_problem(problem)
    learnt, held_out = read_pairs(inputs, solutions, darcy.box).split(hold_out, ctx.seed)
    tests = [held_out, *_tests(test_inputs, test_solutions, darcy.box)]
    plan = Plan(steps, batch, learning_rate, average, checkpoint_every, ctx.seed)
    device = ctx.torch_device()
    operator, losses = fit(
        darcy, learnt, network, arguments, plan,
        device=device, workspace=ctx.workspace, progress=partial(ctx.progress, desc="train"),
    )  # fmt: skip
    judged = [judge(operator, pairs, device) for pairs in tests]
    for told in judged:
        if told["learned"] > told["classical"]:
            ctx.finding(
                "classical-better", "warning",
                f"on {' x '.join(map(str, told['points']))} points the network errs by {told['learned']:.3g}, finite "
                f"volumes with two fitted numbers by {told['classical']:.3g} (relative L2)",
            )  # fmt: skip
    story = {"network": network, "seed": ctx.seed, "steps": steps, "samples": len(learnt), "held_out": len(held_out)}
    figures = {
        **story, "parameters": sum(tensor.numel() for tensor in weights_of(operator.network).values()),
        "contrast": {"low": operator.contrast.low, "slope": operator.contrast.slope}, "judged": judged,
        "loss": losses[-1], "loss_curve": _curve(losses),
    }  # fmt: skip
    return OperatorTraining(operator.to_model(story, licence), Metrics(figures))


def _tests(inputs: Sequence[GridField], solutions: Sequence[GridField], box: "Box") -> "list[Pairs]":
    from voxfield.pde.operators._pairs import read_pairs

    if len(inputs) != len(solutions):
        raise InputError(
            f"{len(inputs)} test_inputs and {len(solutions)} test_solutions; expected one field of each for a grid"
        )
    return [read_pairs(given, known, box) for given, known in zip(inputs, solutions, strict=True)]


def _curve(losses: Sequence[float]) -> dict[str, Any]:
    """Means over stretches of steps, each named by its last step."""
    ends = sorted({-(-len(losses) * k // CURVE) for k in range(1, CURVE + 1)})
    means = [sum(losses[a:b]) / (b - a) for a, b in zip([0, *ends], ends, strict=False)]
    return {"step": ends, "loss": means}
