"""Stages by name. Names come from entry points without importing anything; a broken plug-in is a finding."""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.settings import unknown_key
from voxfield.stage import Stage

GROUP = "voxfield.stages"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


def names() -> list[str]:
    """Names of all installed stages, such as `segmentation.predict`."""
    return list(_entries())


def module_of(name: str) -> str:
    """The module that defines a stage; raises InputError for an unknown name."""
    entries = _entries()
    if name not in entries:
        raise InputError(unknown_key(name, entries).replace("setting", "stage", 1))
    return entries[name].module


def get(name: str) -> Stage[..., object]:
    """Import a stage. Raises InputError when the name is unknown or the plug-in behind it is broken."""
    module = module_of(name)
    attribute = _entries()[name].attr
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(f"stage {name!r} of module {module} can not be loaded: {error}") from error
    if not isinstance(found, Stage) or found.name != name:
        raise InputError(f"entry point {name!r} names {module}:{attribute}, which is no stage of that name")
    return found


def load_all(findings: Findings) -> dict[str, Stage[..., object]]:
    """Every stage that loads; those that do not are findings with the code `broken-plugin`."""
    loaded: dict[str, Stage[..., object]] = {}
    for name in names():
        try:
            loaded[name] = get(name)
        except InputError as error:
            findings.add("broken-plugin", "error", error.message)
    return loaded
