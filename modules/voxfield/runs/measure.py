"""`voxfield plan PIPELINE`: run one scan, unless a run is there already, and tell what all of them will cost.

What is run is what the section `plan` of the pipeline's configuration says: one phantom, or one row of the cohort's
table, whose size is nearest to the median. Its folder stays, so that the next plan takes its records.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from voxfield.batches import write_table
from voxfield.errors import CohortError, InputError
from voxfield.paths import RUN_MARKER
from voxfield.runs import keep
from voxfield.runs.configuration import merged_config, saved_config
from voxfield.runs.costs import Costs, costs_of
from voxfield.runs.engine import pipeline_folder
from voxfield.runs.folder import SETTINGS, write_whole
from voxfield.runs.launch import run_pipeline
from voxfield.runs.place import place_for
from voxfield.runs.plan import Sizes, frame, planned, suggestions
from voxfield.runs.plan_text import plan_text
from voxfield.settings_yaml import dump_yaml
from voxfield.workflow import Stages, cohort_rows


def plan_run(
    name: str,
    *,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    directory: Path | None = None,
    subjects: int | None = None,
    cores: int | None = None,
) -> int:
    """Print what `subjects` scans will cost: hours, memory, disk and files by stage."""
    home = pipeline_folder(name)
    settings = merged_config(home, config, assignments)
    rows = cohort_rows(settings["cohort"]) if settings.get("cohort") else {}
    count = subjects or len(rows) or _count(settings)
    run = directory or Path("runs") / f"{config.stem if config else home.name}-plan"
    if not (directory and _has_records(run)):
        run = _measure(name, home, settings, rows, run, cores)
    costs = costs_of(run)
    if not costs.scans:
        raise InputError("holds no record about a scan; a plan is made from what a scan has cost", file=run)
    saved = saved_config(home, run / SETTINGS)
    sizes = Sizes(_ratios(rows, costs, count))
    words = keep.words_of(settings.get("keep", "all"), settings.get("intermediate", ()))
    plans = planned(costs, sizes, lambda file: not keep.dropped(words, file))
    stages = Stages({**saved, "resources": settings["resources"]})
    needs = {plan.stage: stages.need(plan.stage) for plan in plans}
    sys.stdout.write(
        plan_text(
            plans,
            frame(costs, count, settings.get("batch", 1)),
            suggestions(plans, needs),
            costs=costs,
            count=count,
            sized=len(set(sizes.ratios)) > 1,
            cores=cores or 1,
            run=run,
        )
    )
    return 0


def _has_records(run: Path) -> bool:
    return (run / RUN_MARKER).is_file() and bool(costs_of(run).jobs)


def _measure(
    name: str,
    home: Path,
    settings: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, str]],
    run: Path,
    cores: int | None,
) -> Path:
    """Run what is to be measured; the folder where it is."""
    section = dict(settings.get("plan") or {})
    scans = int(section.pop("scans", 1))
    fewer = {**settings, **_fewer(section, settings)}
    run.parent.mkdir(parents=True, exist_ok=True)
    if rows:
        table = run.with_name(f"{run.name}-cohort.tsv").resolve()
        write_table(table, _chosen(rows, scans, needs_training=settings.get("model") is None))
        fewer["cohort"] = str(table)
    config = run.with_name(f"{run.name}.yaml")
    write_whole(config, dump_yaml(fewer))
    with suppress(CohortError):  # what a scan could not do without its failure, the records of the rest say
        run_pipeline(name, config=config, directory=run, cores=cores)
    return place_for(run.resolve(), home, merged_config(home, config, ())).run


def _fewer(section: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the counts of the section `plan`, where the run has not fewer anyhow."""
    return {
        key: {**settings[key], **_fewer(value, settings[key])}
        if isinstance(value, Mapping)
        else min(int(value), int(settings[key]))
        for key, value in section.items()
    }


def _count(settings: Mapping[str, Any]) -> int:
    """Scans of a run without a table of them."""
    phantoms = settings.get("phantoms", {})
    given = [len(settings.get(name) or {}) for name in ("labels", "scans")]
    return int(phantoms.get("count", phantoms.get("patients", 0))) + sum(given) or 1


def _chosen(rows: Mapping[str, Mapping[str, str]], count: int, *, needs_training: bool) -> list[dict[str, str]]:
    """The rows nearest to the median size, or from all over the table where no size is known.

    Those with annotations where a network has to be trained on them.
    """
    annotated = [subject for subject, row in rows.items() if row.get("annotation")]
    among = annotated if needs_training and len(annotated) >= count else list(rows)
    voxels = {subject: size for subject in among if (size := _voxels(rows[subject]))}
    if voxels:
        middle = median(voxels.values())
        among = sorted(voxels, key=lambda subject: abs(voxels[subject] - middle))
    else:
        among = among[:: max(1, len(among) // count)]
    return [{**rows[subject]} for subject in among[:count]]


def _ratios(rows: Mapping[str, Mapping[str, str]], costs: Costs, count: int) -> list[float]:
    """Voxels of `count` scans over the mean of the measured ones; 1 where a header is not known."""
    measured = [size for subject in costs.scans if subject in rows and (size := _voxels(rows[subject]))]
    if not measured:
        return [1.0] * count
    mean = sum(measured) / len(measured)
    known = [size / mean if (size := _voxels(row)) else 1.0 for row in rows.values()]
    return [known[number % len(known)] for number in range(count)]


def _voxels(row: Mapping[str, str]) -> int | None:
    """Voxels of a scan by its header; None for what is no NIfTI."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    try:
        return prod(int(extent) for extent in nib.load(row["image"]).shape)
    except (KeyError, OSError, ImageFileError):
        return None
