"""The stage `grading.explain`."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Image, Metrics, Model, Picture, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.grading.saliency import Attribution

LOOSE = 0.05  # grades that an attribution may miss of its sum before it is told


class Explanation(NamedTuple):
    saliency: Image
    overlay: Picture
    explanation: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=5), version=2)
def explain(
    image: Image,
    model: Model,
    features: Table | None = None,
    *,
    points: Annotated[int, Ge(8), Le(4096)] = 64,
    neighbours: Annotated[int, Ge(0), Le(100)] = 5,
    ctx: Context = Context(),
) -> Explanation:
    """Show what in a scan made its grade, and the graded training scans that it resembles.

    image        (x, y, z), any spacing and orientation
    model        written by `grading.train`, with images among its inputs
    features     a table of one row, needed by a model that was trained with features; the same for scan and baseline
    saliency     (x, y, z) on the scan's grid, in grades: what each voxel adds to the expected grade; the sum is the
                 expected grade of the scan less that of an image with the scan's mean everywhere
    overlay      the scan, red where structure raises the grade and blue where it lowers it, blurred by one cell of the
                 network's grid; of a volume three slices through the strongest place, 30 mm to every side of it
    explanation  expected grades of scan and baseline, what the sum of the voxels misses of their difference (above 0.05
                 grades told as `loose-attribution`), and the nearest labelled training scans: subject, grades of its
                 readers and distance of the embedding, 1 where a scan begins to be unlike the training

    It tells what the network used, not what is the matter with the patient.

    Settings
    points: of the path from the baseline to the scan at which gradients are taken.
    neighbours: how many training scans are named.

    Source: integrated gradients (Sundararajan et al. 2017), see `saliency`.
    """
    from voxfield.grading.examples import nearest
    from voxfield.grading.grader import Grader
    from voxfield.grading.overlay import overlay
    from voxfield.grading.saliency import attribute
    from voxfield.grading.scans import read_scan, scan_features

    device = ctx.torch_device()
    grader = Grader.from_model(model, device)
    if sum(extent > 1 for extent in image.shape) < 2:
        extents = " x ".join(map(str, image.shape))
        raise InputError(f"has {extents} voxels: a picture needs several along two axes at least", file=image.file)
    if not grader.uses_image:
        raise InputError("grades features alone, no image: there is nothing in a scan to point at", file=model.file)
    values = scan_features(grader.scaler, features, model, ctx)
    volume, _ = read_scan(image, grader.grid)
    found = attribute(grader, image, values, points, device)
    _judge(found, points, ctx)
    cell = max(grader.grid.spacing_mm[axis] for axis in grader.grid.axes)
    cases: list[dict[str, Any]] = []
    if grader.examples is not None and grader.embedding_bank is not None:
        _, embedding = grader.look(grader.rows(volume[None], values, [-1]), device)
        cases = nearest(grader.examples, grader.embedding_bank, embedding[0], neighbours)
    facts = {
        "grade_expected": found.expected,
        "grade_expected_baseline": found.baseline,
        "saliency_sum": float(found.voxels.sum()),
        "saliency_misses": found.missed,
        "saliency_is": "integrated gradients of the expected grade, from the scan's mean in every voxel; in grades",
        "nearest": cases,
    }
    return Explanation(
        Image(found.voxels, image.affine, unit="grade"),
        Picture(overlay(image.data, found.voxels, image.affine, cell)),
        Metrics(facts),
    )


def _judge(found: "Attribution", points: int, ctx: Context) -> None:
    if found.missed > LOOSE:
        message = f"the saliency misses {found.missed:.2g} grades of its sum; raise points, now {points}"
        ctx.finding("loose-attribution", "warning", message, value=found.missed)
