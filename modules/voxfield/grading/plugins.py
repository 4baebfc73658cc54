"""Algorithms, networks and heads by name: built in, or added by an installed package through an entry point.

A package adds an algorithm by declaring it, without any change here:

    [project.entry-points."voxfield.grading.algorithms"]
    mine = "my_package.mine:Mine"
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from voxfield.errors import InputError, SettingsError
from voxfield.settings import unknown_key


def find(kind: str, builtin: Mapping[str, str], name: str) -> Any:
    """The object behind a name.

    kind     "algorithms", "networks" or "heads": the entry points `voxfield.grading.<kind>`
    builtin  name -> "module:attribute" of those that ship with Voxfield
    """
    group = f"voxfield.grading.{kind}"
    targets = dict(builtin)
    if name not in targets:  # only then: reading what is installed costs more than a prediction
        targets |= {entry.name: entry.value for entry in sorted(entry_points(group=group))}
    if name not in targets:
        raise SettingsError(unknown_key(name, targets).replace("setting", kind.rstrip("s"), 1))
    module, _, attribute = targets[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{group}: {name!r} can not be loaded from {targets[name]}: {error}") from error
