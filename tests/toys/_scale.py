"""A toy stage with every kind of port and setting."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Image, Metrics, Table
from voxfield.stage import Context, Resources, stage


class Scaled(NamedTuple):
    """What `toys.scale` makes."""

    scaled: Image
    metrics: Metrics


@stage(resources=Resources(mem_mb=100), version=1)
def scale(
    image: Image,
    table: Table | None = None,
    others: Sequence[Image] = (),
    *,
    factor: Annotated[float, Ge(0), Le(10)] = 2.0,
    mode: Literal["plain", "noisy", "fail", "interrupt"] = "plain",
    shape: tuple[int, int] = (1, 2),
    ctx: Context = Context(),
) -> Scaled:
    """Multiply an image.

    Settings
    factor: what the image is multiplied by
    mode: `noisy` adds noise; `fail` and `interrupt` break off
    shape: two integers that do nothing
    """
    import torch

    steps, total = 3, 0
    kept = ctx.workspace.load("steps")
    start, total = (kept[1]["step"], int(kept[0]["total"])) if kept else (0, 0)
    for step in range(start, steps):
        if mode == "interrupt" and step == 2 and start == 0:
            raise KeyboardInterrupt
        total += step
        ctx.workspace.save("steps", {"total": torch.tensor(total)}, {"step": step + 1})
    if mode == "fail":
        raise RuntimeError("a bug")
    data = image.data * factor
    if mode == "noisy":
        data = data + ctx.rng().normal(size=data.shape).astype("f4")
    ctx.finding("scaled", "info", f"multiplied by {factor}")
    return Scaled(
        Image(data, image.affine),
        Metrics({"total": total, "start": start, "others": len(others), "rows": 0 if table is None else 1}),
    )
