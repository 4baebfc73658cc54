"""Public names that load on first use, so that `import voxfield.segmentation` imports neither torch nor scipy."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Module-level `__getattr__`, `__dir__` and `__all__` for a package.

    `names` maps a public name to the module inside `package` that defines it.
    """

    def getter(name: str) -> Any:
        if name not in names:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(f"{package}.{names[name]}"), name)

    return getter, lambda: sorted(names), sorted(names)
