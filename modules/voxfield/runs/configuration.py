"""The settings of a run: the pipeline's own, a file over them, `--set` values on top; how those of two runs differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from voxfield.errors import SettingsError
from voxfield.settings import parse_assignments, unknown_key
from voxfield.settings_yaml import load_yaml

# Keys of every pipeline: the share of the scans that have to finish, or the run fails; what stages need.
GENERAL: Mapping[str, Any] = {"min_success": 0.9, "resources": {}}
# How a run is carried out and what it leaves on disk; no result follows from it.
MANNER = frozenset({"batch", "intermediate", "keep", "min_success", "plan", "resources"})


def merged_config(home: Path, config: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """The pipeline's defaults, a configuration file over them, and `--set` values on top; unknown keys are refused."""
    merged = _defaults(home)
    if config is not None:
        _merge(merged, load_yaml(config), config, ())
    for key, value in parse_assignments(assignments).items():
        nested: Any = value
        for part in reversed(_split(key)):
            nested = {part: nested}
        _merge(merged, nested, "--set", ())
    for key in ("data", "cohort", "model"):
        if isinstance(merged.get(key), str):
            merged[key] = str(Path(merged[key]).resolve())  # Snakemake works inside the run folder
    voxels = merged.get("max_voxels")
    if voxels is not None and _mismatch(1.0, voxels):
        raise SettingsError(f"setting 'max_voxels' is {str(voxels)[:80]!r}; expected a number of voxels, or null")
    share = merged["min_success"]
    if not 0 <= share <= 1:
        raise SettingsError(f"setting 'min_success' is {share!r}; expected a share of the scans from 0 to 1")
    return merged


def saved_config(home: Path, place: Path) -> dict[str, Any]:
    """The configuration that a run was saved with; keys that came to the pipeline later have their defaults."""
    return _completed(_defaults(home), load_yaml(place))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Settings that differ, by their dotted names: the old value and the new one, as JSON."""
    before, after = dict(_leaves(old, ())), dict(_leaves(new, ()))
    names = [*before, *(name for name in after if name not in before)]
    pairs = {name: (before.get(name, "unset"), after.get(name, "unset")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def of_results(found: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Those of the changes that results may follow from."""
    return {name: pair for name, pair in found.items() if name.partition(".")[0] not in MANNER}


def _defaults(home: Path) -> dict[str, Any]:
    return {**deepcopy(dict(GENERAL)), **load_yaml(home / "config.yaml")}


def _completed(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over`, with what it lacks from `base`."""
    made = {**base, **over}
    for key, value in made.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            made[key] = _completed(base[key], value)
    return made


def _leaves(config: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        elif value != {}:
            yield ".".join((*path, key)), json.dumps(value)


def _split(key: str) -> list[str]:
    """`stages.fields.reconstruct.samples` -> stages, fields.reconstruct, samples; other keys part at every dot."""
    parts = key.split(".")
    if parts[0] in {"stages", "resources"} and len(parts) == 4:
        return [parts[0], f"{parts[1]}.{parts[2]}", parts[3]]
    return parts


def _mismatch(default: Any, value: Any) -> str | None:
    """What a value should be by the pipeline's own one, where that is a number, a truth value or a mapping."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        return None if number and value == int(value) else "a whole number"
    if isinstance(default, float):
        return None if number else "a number"
    if isinstance(default, Mapping):
        return None if value is None or isinstance(value, Mapping) else "a mapping of names to values"
    return None


def _merge(base: dict[str, Any], over: Mapping[str, Any], file: object, path: tuple[str, ...]) -> None:
    free = path[:1] in {("stages",), ("resources",)}  # the stages judge their own settings
    for key, value in over.items():
        if key not in base and not free:
            raise SettingsError(unknown_key(".".join((*path, key)), base), file=str(file))
        if not free and (expected := _mismatch(base[key], value)):
            named = ".".join((*path, key))
            raise SettingsError(f"setting {named!r} is {str(value)[:80]!r}; expected {expected}", file=str(file))
        if isinstance(base.get(key), dict) and isinstance(value, Mapping):
            _merge(base[key], value, file, (*path, key))
        else:
            base[key] = value
