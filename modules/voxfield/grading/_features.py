"""The stage `grading.features`."""

from typing import NamedTuple

from voxfield.artifacts import Table
from voxfield.stage import Context, Resources, stage

NEEDED = ("branch", "parent", "length_mm", "radius_mean_mm", "radius_min_mm", "bridge")


class Features(NamedTuple):
    features: Table


@stage(resources=Resources(mem_mb=500, runtime=5), version=1)
def features(branches: Table, drops: Table | None = None, *, ctx: Context = Context()) -> Features:
    """Describe one subject's vessels in a fixed row of numbers.

    branches  one row a branch, as `segmentation.centerline` and the phantoms write it
    drops     one row an opening with its relative pressure, as `pde.pressure` writes it
    returns   a table of one row with the columns of `voxfield.grading.anatomy.COLUMNS`; what can not be had
              is n/a

    No radius is taken from a bridge (a gap or an occlusion): the finding `bridges` says how many there were.
    """
    from voxfield.grading.anatomy import COLUMNS, describe

    for name in NEEDED:
        branches.column(name)
    if drops is not None:
        drops.column("pressure_pa")
    if not len(branches):
        ctx.finding("no-branches", "warning", "the branch table is empty: no vessel was found", value=0)
    row = describe(branches.rows(), None if drops is None else drops.rows())
    if row["bridges"]:
        count = int(row["bridges"])
        ctx.finding("bridges", "warning", f"{count} gaps or occlusions: no radius is claimed there", value=count)
    return Features(Table({name: [row[name]] for name in COLUMNS}))
