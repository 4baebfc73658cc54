"""The stage `io.relabel`: somebody else's label convention into ours, label by label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import LabelMap, Table
from voxfield.artifacts._values import narrowest
from voxfield.errors import InputError, SettingsError
from voxfield.settings import unknown_key
from voxfield.stage import Context, Resources, stage

COLUMNS = ("source", "source_name", "label", "name", "voxels")


class Relabelled(NamedTuple):
    """What `io.relabel` makes."""

    labels: LabelMap
    voxels: Table


@stage(resources=Resources(mem_mb=2000, runtime=10), version=1)
def relabel(
    source: LabelMap,
    *,
    mapping: dict[str, Annotated[int, Ge(0), Le(65535)]] = {},  # noqa: B006  (validated into a fresh copy)
    names: dict[str, str] = {},  # noqa: B006
    others: Literal["refuse", "keep", "background"] = "refuse",
    unannotated: Annotated[int, Ge(1), Le(65535)] | None = None,
    ctx: Context = Context(),
) -> Relabelled:
    """Map the labels of a foreign convention to others; the grid stays as it is.

    source  label map in any convention, any integers
    labels  the same voxels with their new labels and names
    voxels  a row for every label found: `source`, `source_name`, `label`, `name`, `voxels`

    Several labels may become one. The background, 0, stays 0 unless the mapping names it; the unannotated value of the
    source, where it has one, stays as it is unless the mapping names it.

    Settings
    mapping: new label by old one, which is a number or a name that the file itself gives, such as {"1": 3, "lung": 2}
    names: names of the new labels, such as {"3": "lumen"}
    others: labels that the mapping does not name are refused, kept as they are, or made background
    unannotated: new label that marks voxels which nobody looked at, 255 by convention

    Raises SettingsError for an empty mapping, a label that is neither number nor name of the source, and one that is
    given two new labels; InputError for labels that the mapping does not name, and for one that would be kept under
    a number that others get. A label of the mapping that does not
    occur is a finding, since one table of settings serves a whole cohort; so is a result without foreground.
    """
    import numpy as np

    if not mapping:
        example = '{"1": 3}'
        raise SettingsError(
            f"io.relabel: setting 'mapping' is empty; expected new labels by old ones, such as {example}"
        )
    wanted = _by_value(mapping, source.labels, source.file)
    present = source.present()
    kept = {0: 0} | ({source.unannotated: source.unannotated} if source.unannotated is not None else {})
    rest = [value for value in present if value not in wanted and value not in kept]
    if rest and others == "refuse":
        shown = ", ".join(map(str, rest[:8])) + (", ..." if len(rest) > 8 else "")
        message = f"holds {len(rest)} labels that the mapping does not name: {shown}; name them, or set `others`"
        raise InputError(message, file=source.file)
    clash = sorted(set(rest) & set(wanted.values()) - {0}) if others == "keep" else []
    if clash:
        message = f"label {clash[0]} is kept, and others become {clash[0]} as well; name it in the mapping"
        raise InputError(message, file=source.file)
    target = {value: wanted.get(value, kept.get(value, value if others == "keep" else 0)) for value in present}
    new = np.array([target[value] for value in present], np.int64)
    new = new.astype(narrowest(int(new.min()), int(new.max())))
    made, counts = np.empty(source.data.shape, new.dtype), np.zeros(len(new), np.int64)
    for plane, part in enumerate(source.data):  # plane by plane: no second volume of indices
        index = np.searchsorted(present, part)
        made[plane] = new[index]
        counts += np.bincount(index.ravel(), minlength=len(new))
    _note_absent(wanted, present, source, ctx)
    empty = unannotated if unannotated is not None else source.unannotated
    if not any(value not in (0, empty) for value in target.values()):
        ctx.finding("empty-mask", "warning", "no voxel is foreground after the mapping", file=source.file)
    named = _names(names, source.labels, wanted, others)
    rows = zip(present, map(source.labels.get, present), new, map(named.get, new.tolist()), counts, strict=True)
    table = Table.from_rows([dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS)
    return Relabelled(LabelMap(made, source.affine, labels=named, unannotated=empty), table)


def _by_value(mapping: Mapping[str, int], labels: Mapping[int, str], file: Path | None) -> dict[int, int]:
    """New label by old value, names resolved."""
    values = {name: value for value, name in labels.items()}
    wanted: dict[int, int] = {}
    for old, new in mapping.items():
        number = old.removeprefix("-").isdecimal()
        if not number and old not in values:
            known = unknown_key(old, values).replace("setting", "label", 1)
            raise SettingsError(f"io.relabel: mapping: {known}; numbers are always known", file=file)
        value = int(old) if number else values[old]
        if wanted.setdefault(value, new) != new:
            raise SettingsError(f"io.relabel: mapping: label {value} becomes {wanted[value]} and {new}; give one")
    return wanted


def _names(names: Mapping[str, str], old: Mapping[int, str], wanted: Mapping[int, int], others: str) -> dict[int, str]:
    """Names of the new labels: those that are given, else those of labels that stay, or that alone became one."""
    found = {value: name for value, name in old.items() if others == "keep" and value not in wanted}
    for new in set(wanted.values()):
        sources = [value for value, label in wanted.items() if label == new]
        if len(sources) == 1 and sources[0] in old:
            found[new] = old[sources[0]]
    for value, name in names.items():
        if not value.isdecimal():
            raise SettingsError(f"io.relabel: names: {value!r} is no label; expected a number in quotes")
        found[int(value)] = name
    found.pop(0, None)
    return found


def _note_absent(wanted: Mapping[int, int], present: list[int], source: LabelMap, ctx: Context) -> None:
    absent = sorted(set(wanted) - set(present) - {0})
    if absent:
        shown = ", ".join(map(str, absent[:8])) + (", ..." if len(absent) > 8 else "")
        message = f"does not hold the labels {shown} of the mapping"
        ctx.finding("label-absent", "info", message, file=source.file, value=absent[:20])
