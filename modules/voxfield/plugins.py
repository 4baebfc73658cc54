"""Parts of a family by name: built in, or added by an installed package through an entry point.

Regularizers, networks, algorithms, heads, kernels and solvers are found here; stages have their own `registry`. A
package adds, say, a regularizer by declaring it, without any change here:

    [project.entry-points."voxfield.segmentation.regularizers"]
    mine = "my_package.mine:Mine"
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from voxfield.errors import InputError, SettingsError
from voxfield.settings import unknown_key


def find(group: str, builtin: Mapping[str, str], name: str) -> Any:
    """The object behind a name.

    group    of entry points: `voxfield.<family>.<kind>`, such as "voxfield.segmentation.networks"
    builtin  name -> "module:attribute", or "module", of those that ship with Voxfield

    Raises SettingsError for an unknown name, with the nearest known one, and InputError for one that can not be loaded.
    """
    targets = dict(builtin)
    if name not in targets:  # only then: reading what is installed costs more than a prediction
        targets |= {entry.name: entry.value for entry in sorted(entry_points(group=group))}
    if name not in targets:
        raise SettingsError(unknown_key(name, targets).replace("setting", group.rpartition(".")[2].rstrip("s"), 1))
    module, _, attribute = targets[name].partition(":")
    try:
        found = import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ImportError, AttributeError) as error:
        raise InputError(f"{group}: {name!r} can not be loaded from {targets[name]}: {error}") from error
