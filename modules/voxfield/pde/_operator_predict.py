"""The stage `pde.operator_predict`: learned solutions, and certified ones by iterations from there."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Gt, Le

from voxfield.artifacts import GridField, Metrics, Model, Picture, Table
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.pde.operators._certified import Certified
    from voxfield.pde.problem.operator import Array


class OperatorPrediction(NamedTuple):
    """What `pde.operator_predict` makes."""

    solutions: GridField
    learned: GridField
    samples: Table
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(gpu=1, mem_mb=4000, runtime=30), version=1)
def operator_predict(
    model: Model,
    inputs: GridField,
    known: GridField | None = None,
    *,
    rtol: Annotated[float, Gt(0), Le(0.1)] = 1e-8,
    ctx: Context = Context(),
) -> OperatorPrediction:
    """Solve a Darcy problem for new input fields: by a learned operator, and from there by iterations to a tolerance.

    model      of `pde.operator_train`
    inputs     one field, or several along the axis `sample`, on any equidistant points of the model's box
    known      their solutions, where somebody knows them, to judge by
    solutions  of the finite volumes on these points with the conductivity a = low + slope * input that the training
               fitted: the learned answer was the start of conjugate gradients with multigrid (`voxfield.pde.voxels`)
    learned    the learned answers themselves
    samples    one row a sample: iterations from the learned start and from zero, residuals (relative), bounds on the
               errors against the exact solution of the discrete equations (root mean square), the learned answer's own
               error; with `known` the relative L2 errors of both
    metrics    their means; iterations saved
    picture    the sample whose learned answer is the farthest off

    The start is multiplied by the one number that makes it best in the energy norm: it is never worse than zero there.
    The bound of an error is its residual over the least conductivity times the smallest eigenvalue of the Laplacian on
    the same points; it needs no solution, and is far from sharp for an answer that is not smooth.

    Settings
    rtol: relative residual at which the iterations stop

    Raises InputError for other axes, points that are not equidistant, values that are not finite, and inputs whose
    conductivity would not be positive. Inputs far from those of training are the finding `unfamiliar-input`.
    """
    import numpy as np

    from voxfield.pde.operators._certified import certify
    from voxfield.pde.operators._figure import prediction_figure
    from voxfield.pde.operators._learned import LearnedOperator
    from voxfield.pde.operators._pairs import SAMPLE, read_pairs, read_samples

    operator = LearnedOperator.from_model(model)
    problem = operator.problem
    axes, given = read_samples(inputs, problem.box)
    grid, source = problem.grid(axes), problem.source(axes)
    conductivity = operator.contrast(given)
    strange = operator.unfamiliar(given)
    if strange:
        ctx.finding("unfamiliar-input", "warning", strange, file=inputs.file)
    learned = operator.predict(given, axes, ctx.torch_device())
    found = [
        certify(grid, a, source, guess, rtol=rtol)
        for a, guess in ctx.progress(zip(conductivity, learned, strict=True), total=len(given), desc="certify")
    ]
    values = np.stack([one.values for one in found])
    rows = _rows(found)
    if known is not None:
        _judge(rows, read_pairs(inputs, known, problem.box).solutions, learned, values)
    worst = max(range(len(found)), key=lambda n: found[n].guess_error)
    sample = inputs.axes.get(SAMPLE)
    learned_field, solved = (
        problem.field(axes, part if sample is not None else part[0], sample) for part in (learned, values)
    )
    picture = prediction_figure(
        problem, axes, (given[worst], learned[worst], values[worst]),
        f"{model.architecture}: sample {worst}, the farthest off",
    )  # fmt: skip
    return OperatorPrediction(solved, learned_field, Table.from_rows(rows), Metrics(_means(rows)), picture)


def _rows(found: "Sequence[Certified]") -> list[dict[str, Any]]:
    return [
        {
            "sample": number, "iterations": one.iterations, "iterations_from_zero": one.from_zero,
            "residual": one.residual, "bound": one.bound, "learned_residual": one.guess_residual,
            "learned_bound": one.guess_bound, "learned_error": one.guess_error,
        }
        for number, one in enumerate(found)
    ]  # fmt: skip


def _judge(rows: list[dict[str, Any]], known: "Array", learned: "Array", solved: "Array") -> None:
    """Relative L2 errors against known solutions, added to the rows."""
    from voxfield.pde.operators._pairs import relative_l2

    for row, own, classical in zip(rows, relative_l2(learned, known), relative_l2(solved, known), strict=True):
        row |= {"learned_l2": float(own), "classical_l2": float(classical)}


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0] if name != "sample"}
    return {"samples": len(rows), **means, "saved": 1 - means["iterations"] / (means["iterations_from_zero"] or 1.0)}
