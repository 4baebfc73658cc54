"""The stage `phantoms.knee`: a radiograph-like plane of one row of `phantoms.knees`."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield.artifacts import Image
from voxfield.stage import Context, Resources, stage


class KneePicture(NamedTuple):
    """What `phantoms.knee` makes."""

    image: Image


@stage(resources=Resources(mem_mb=1000, runtime=30), version=1)
def knee(
    *,
    knee_seed: Annotated[int, Ge(0)] = 0,
    severity: Annotated[float, Ge(0), Lt(5)] = 0.0,
    side: Literal["left", "right"] = "left",
    cells: Annotated[int, Ge(16), Le(512)] = 64,
    spacing_mm: Annotated[float, Gt(0), Le(10)] = 1.0,
    noise: Annotated[float, Ge(0)] = 0.05,
    ctx: Context = Context(),
) -> KneePicture:
    """Show one knee from the front: joint space, osteophytes and sclerosis as its severity says.

    The image is (x, 1, z): a coronal plane in RAS+ mm, bone bright, grey values 0 to 255. The medial side of a left
    knee is on the patient's right, at high x.

    Settings
    knee_seed: which knee, as listed by phantoms.knees; 2 n and 2 n + 1 are the knees of one patient
    severity: 0 to 5, whole numbers where a grade begins
    side: of the patient
    cells: pixels along an edge
    spacing_mm: edge of a pixel
    noise: standard deviation of a pixel, contrasts of the picture

    Anatomy and noise follow from the run's seed and the knee together.
    """
    import numpy as np

    from voxfield.phantoms._knee_joint import Knee, radiograph

    patient, own = np.random.default_rng([ctx.seed, knee_seed // 2, 0]), np.random.default_rng([ctx.seed, knee_seed, 1])
    picture = radiograph(Knee.draw(severity, patient, own), cells, spacing_mm, noise, own)
    columns = picture[::-1] if side == "left" else picture  # from medial-to-lateral to x
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[[0, 2], 3] = -spacing_mm * (cells - 1) / 2
    return KneePicture(Image(columns[:, None, :], affine))
