"""The settings of a run: the pipeline's own, a file over them, and `--set` values on top."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxfield.errors import SettingsError
from voxfield.settings import parse_assignments, unknown_key
from voxfield.settings_yaml import load_yaml


def merged_config(home: Path, config: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """The pipeline's defaults, a configuration file over them, and `--set` values on top; unknown keys are refused."""
    merged = load_yaml(home / "config.yaml")
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
    return merged


def _split(key: str) -> list[str]:
    """`stages.fields.reconstruct.samples` -> stages, fields.reconstruct, samples; other keys part at every dot."""
    parts = key.split(".")
    if parts[0] in {"stages", "resources"} and len(parts) == 4:
        return [parts[0], f"{parts[1]}.{parts[2]}", parts[3]]
    return parts


def _merge(base: dict[str, Any], over: Mapping[str, Any], file: object, path: tuple[str, ...]) -> None:
    free = path[:1] in {("stages",), ("resources",)}  # the stages judge their own settings
    for key, value in over.items():
        if key not in base and not free:
            raise SettingsError(unknown_key(".".join((*path, key)), base), file=str(file))
        if isinstance(base.get(key), dict) and isinstance(value, Mapping):
            _merge(base[key], value, file, (*path, key))
        else:
            base[key] = value
