"""`voxfield check --schema`: is a settings file what a stage, a pipeline or a JSON Schema asks for?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._files import open_origin, read_bytes
from voxfield.artifacts._strict_json import parse_json
from voxfield.errors import InputError, SettingsError
from voxfield.paths import resource_folder
from voxfield.settings import unknown_key
from voxfield.settings_yaml import load_yaml

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from voxfield.findings import Findings


def check_settings(path: Path, schema: str, findings: Findings) -> str:
    """Judge a settings file and say what it is. Raises SettingsError with a line a mistake.

    schema  a stage such as `segmentation.train`, a pipeline such as `airway` (then `path` is its configuration), or a
            JSON Schema in a file that ends in `.json`
    """
    del findings  # a setting is right or wrong
    if schema.endswith(".json"):
        _by_json_schema(path, Path(schema))
        return f"settings file by {Path(schema).name}"
    if "." in schema:
        from voxfield.registry import get

        get(schema).settings.validate(load_yaml(path), file=path)
        return f"settings file of {schema}"
    _by_pipeline(path, schema)
    return f"configuration of {schema}"


def _by_pipeline(path: Path, name: str) -> None:
    from voxfield.registry import get
    from voxfield.runs.configuration import merged_config
    from voxfield.workflow import Stages

    folder = resource_folder("pipelines")
    known = sorted(place.parent.name for place in folder.glob("*/config.yaml"))
    if name not in known:
        raise InputError(unknown_key(name, known).replace("setting", "pipeline", 1))
    try:
        config = merged_config(folder / name, path, ())
        for stage, values in Stages(config).settings.items():
            get(stage).settings.validate(values)
    except InputError as error:
        raise error if error.file else type(error)(error.message, file=path) from None


def _by_json_schema(path: Path, place: Path) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    schema = parse_json(read_bytes(open_origin(place)), place)
    values = load_yaml(path)
    empty: Registry[Any] = Registry()  # no reference is ever fetched from elsewhere
    try:
        Draft202012Validator.check_schema(schema)
        faults = sorted(Draft202012Validator(schema, registry=empty).iter_errors(values), key=lambda e: e.json_path)
    except SchemaError as error:
        raise InputError(f"is no JSON Schema: {_line(error.message)}", file=place) from None
    except Unresolvable as error:
        raise InputError(f"refers to what is not in it: {_line(str(error))}", file=place) from None
    except RecursionError:
        raise InputError("refers to itself without end", file=place) from None
    if faults:
        raise SettingsError("\n".join(_explain(fault) for fault in faults), file=path)


def _explain(fault: ValidationError) -> str:
    key = ".".join(str(part) for part in fault.absolute_path)
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        known = fault.schema.get("properties", {}) if isinstance(fault.schema, dict) else {}
        stranger = next((name for name in fault.instance if name not in known), "")
        return unknown_key(stranger, known) + (f" (under {key!r})" if key else "")
    return f"setting {key!r}: {_line(fault.message)}" if key else _line(fault.message)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
