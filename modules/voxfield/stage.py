"""The stage contract: one typed function is a Python call, a command, a Snakemake rule and a record.

    class Prediction(NamedTuple):
        probability: Image
        mask: LabelMap

    @stage(resources=Resources(gpu=1, mem_mb=8000), version=1)
    def predict(image: Image, model: Model, *, overlap: Annotated[float, Ge(0), Lt(1)] = 0.5,
                ctx: Context = Context()) -> Prediction:
        '''Segment one volume.'''

Positional parameters are artifacts in (`X`, `X | None = None`, `Sequence[X]` or `Sequence[X] = ()`), keyword-only ones
are settings with a default, and the result is a NamedTuple of artifacts. Everything else follows from this signature:
the command line, the JSON schema of the settings, the checks, the record. The decorated function keeps its type.
"""

import inspect
import logging
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast

from voxfield.context import Context
from voxfield.settings import SettingsModel

__all__ = ["RESERVED", "Context", "Port", "Resources", "Stage", "stage"]

P = ParamSpec("P")
R = TypeVar("R")

# Flags of every stage's command; no input, output or setting may take one of these names.
RESERVED = frozenset(
    {"help", "set", "settings", "seed", "device", "each", "manifest", "max_voxels", "processes", "progress", "ctx"}
)
LOG = logging.getLogger("voxfield")


@dataclass(frozen=True)
class Resources:
    """What a stage needs; defaults that `configs/resources.yaml` overrides.

    gpu              GPUs that are wanted; every stage also runs without
    mem_mb           memory, megabytes
    runtime          wall time, minutes
    threads          CPU threads
    bytes_per_voxel  input -> host memory that every voxel of it takes at the least, as measured (see `memory.py`)
    """

    gpu: int = 0
    mem_mb: int = 2000
    runtime: int = 30
    threads: int = 1
    bytes_per_voxel: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Port:
    """One artifact that goes into a stage or comes out of it."""

    name: str
    kind: type[Any]
    many: bool = False
    optional: bool = False

    @property
    def flag(self) -> str:
        """The name as the command line writes it; `from_`, which Python can not call `from`, is `--from` there."""
        return self.name.rstrip("_").replace("_", "-")

    def describe(self) -> str:
        """Kind and multiplicity in words, such as `Image (optional)`."""
        text = f"{self.kind.__name__}, several" if self.many else self.kind.__name__
        return f"{text} (optional)" if self.optional else text


class Stage(Generic[P, R]):
    """A registered step. Call it like the function it wraps; settings are validated as from the command line."""

    def __init__(self, function: Callable[P, R], resources: Resources, version: int, distributed: bool) -> None:
        self.function = function
        self.distributed = distributed
        self.resources = resources
        self.version = version
        self.module = function.__module__
        self.name = f"{_package(self.module)}.{function.__name__}"
        self._signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
        self.inputs = tuple(self._input(p, hints) for p in self._parameters(keyword=False))
        self._setting_types = {
            p.name: (hints[p.name], p.default) for p in self._parameters(keyword=True) if p.name != "ctx"
        }
        self.result = hints["return"]
        self.outputs = self._outputs()
        self._refuse_bad_names()
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run on artifacts in memory; returns the stage's NamedTuple."""
        options: dict[str, Any] = dict(kwargs)
        given = {name: options.pop(name) for name in tuple(options) if name in self._setting_types}
        own_context = "ctx" not in options
        context: Context = options.pop("ctx", None) or Context()
        settings = self.settings.validate(given)
        result = cast(Callable[..., R], self.function)(*args, **options, **settings, ctx=context)
        if own_context:
            for finding in context.findings:
                LOG.log(logging.INFO if finding.level == "info" else logging.WARNING, "%s", finding)
        return result

    @cached_property
    def settings(self) -> SettingsModel:
        """Types, bounds and defaults of the keyword-only parameters."""
        return SettingsModel(self.name, self._setting_types)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    def _parameters(self, *, keyword: bool) -> list[inspect.Parameter]:
        wanted = inspect.Parameter.KEYWORD_ONLY
        return [p for p in self._signature.parameters.values() if (p.kind is wanted) == keyword]

    def _input(self, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Port:
        port = _port(parameter.name, hints[parameter.name])
        if port.many:
            return replace(port, optional=parameter.default is None or parameter.default == ())
        if port.optional != (parameter.default is None):
            raise TypeError(f"{self.name}: optional input {port.name!r} is written `X | None = None`")
        return port

    def _outputs(self) -> tuple[Port, ...]:
        if not (isinstance(self.result, type) and hasattr(self.result, "_fields")):
            raise TypeError(f"{self.name}: a stage returns a NamedTuple of artifacts, not {self.result!r}")
        hints = typing.get_type_hints(self.result)
        return tuple(_port(name, hints[name]) for name in self.result._fields)

    def _refuse_bad_names(self) -> None:
        names = [*(p.name for p in self.inputs), *(p.name for p in self.outputs), *self._setting_types]
        taken = sorted({n for n in names if names.count(n) > 1} | (set(names) & RESERVED))
        if taken:
            raise TypeError(f"{self.name}: names used twice or reserved: {', '.join(taken)}")
        bare = [n for n, (_, default) in self._setting_types.items() if default is inspect.Parameter.empty]
        if bare:
            raise TypeError(f"{self.name}: settings without a default: {', '.join(bare)}")
        unknown = sorted(set(self.resources.bytes_per_voxel) - {p.name for p in self.inputs})
        if unknown:
            raise TypeError(f"{self.name}: bytes_per_voxel of what is no input: {', '.join(unknown)}")
        if "ctx" not in self._signature.parameters:
            raise TypeError(f"{self.name}: the last keyword is `ctx: Context = Context()`")


def stage(
    *, resources: Resources | None = None, version: int = 1, distributed: bool = False
) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Turn a typed function into a stage.

    resources    what it needs
    version      to be raised whenever the numbers of the stage change
    distributed  whether several processes may run one call of it together, see `voxfield.processes`
    """

    def wrap(function: Callable[P, R]) -> Stage[P, R]:
        return Stage(function, resources or Resources(), version, distributed)

    return wrap


def _package(module: str) -> str:
    """The family of a stage: the package that its module lies in."""
    parts = module.split(".")
    if len(parts) < 2:
        raise TypeError(f"module {module!r}: a stage lives in a package, which gives its name `<package>.<function>`")
    return parts[-2]


def _port(name: str, hint: Any) -> Port:
    """Read `X`, `X | None` or `Sequence[X]` where X is an artifact."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(hint) if m is not type(None)]
        optional = len(members) < len(typing.get_args(hint))
        if len(members) != 1:
            raise TypeError(f"{name!r}: an artifact has one kind, not {hint!r}")
        hint = members[0]
    many = typing.get_origin(hint) is Sequence
    if many:
        (hint,) = typing.get_args(hint)
    if not (isinstance(hint, type) and hasattr(hint, "kind") and hasattr(hint, "suffix")):
        raise TypeError(f"{name!r}: {hint!r} is no artifact kind")
    return Port(name, hint, many, optional)
