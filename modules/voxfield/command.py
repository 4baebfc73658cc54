"""The command of a stage, made from its signature."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxfield.artifacts import Limits, Table
from voxfield.errors import InputError
from voxfield.runner import Call, Given
from voxfield.settings import parse_assignments
from voxfield.stage import Port, Stage

SEED_LIMIT = 2**53


def parser(stage: Stage[..., Any]) -> argparse.ArgumentParser:
    """Flags of one stage: `--<input>`, `--out-<output>`, `--set name=value` and the reserved ones."""
    made = argparse.ArgumentParser(
        prog=f"voxfield {stage.name}",
        description=stage.summary,
        epilog=f"`voxfield describe {stage.name}` tells shapes, units, settings and source.",
        allow_abbrev=False,
    )
    for port in stage.inputs:
        made.add_argument(
            f"--{port.flag}",
            dest=f"in_{port.name}",
            nargs="*" if port.many else None,
            metavar="FILE",
            help=f"{port.describe()} in{'; @TABLE.tsv:COLUMN takes the files of a column' if port.many else ''}",
        )
    for port in stage.outputs:
        made.add_argument(
            f"--out-{port.flag}", dest=f"out_{port.name}", metavar="FILE", help=f"{port.describe()} out"
        )
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting")
    made.add_argument("--settings", type=Path, metavar="FILE", help="settings as YAML; --set wins")
    made.add_argument("--seed", type=_seed, default=0, help="every random number follows from it (0)")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    made.add_argument("--max-voxels", type=float, default=Limits().max_voxels, help="largest volume to read")
    made.add_argument("--progress", action="store_true", help="show a progress bar")
    made.add_argument("--each", type=Path, metavar="TABLE", help="run every row of a table in this process")
    made.add_argument("--manifest", type=Path, metavar="FILE", help="with --each: what became of every row")
    return made


def call_from(stage: Stage[..., Any], options: argparse.Namespace) -> Call:
    """The call that a parsed command line asks for."""
    inputs: dict[str, Given] = {}
    for port in stage.inputs:
        value = getattr(options, f"in_{port.name}")
        if value is not None:
            inputs[port.name] = expand(value) if port.many else Path(value)
    outputs = {
        port.name: Path(value)
        for port in stage.outputs
        if (value := getattr(options, f"out_{port.name}")) is not None
    }
    return Call(
        stage,
        inputs,
        outputs,
        read_settings(options.settings, options.set),
        seed=options.seed,
        device=options.device,
        show=options.progress,
        limits=Limits(max_voxels=int(options.max_voxels)),
    )


def read_settings(file: Path | None, assignments: Sequence[str]) -> Mapping[str, Any]:
    """Settings of a YAML file with `--set` values on top."""
    from voxfield.settings_yaml import load_yaml

    values: dict[str, Any] = dict(load_yaml(file)) if file is not None else {}
    values.update(parse_assignments(assignments))
    return values


def expand(words: Sequence[str]) -> list[Path]:
    """Paths of a `Sequence` input; `@table.tsv:column` stands for the files of a column, beside their table."""
    paths: list[Path] = []
    for word in words:
        if not word.startswith("@"):
            paths.append(Path(word))
            continue
        place, colon, column = word[1:].rpartition(":")
        if not colon:
            raise InputError(f"{word!r} names no column; write @TABLE.tsv:COLUMN")
        table = Table.load(Path(place))
        paths.extend(Path(place).parent / str(cell) for cell in table.column(column) if cell is not None)
    return paths


def rule_command(stage: Stage[..., Any], inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """The shell line of a stage's Snakemake rule, from flag values such as `{input.image:q}`."""
    parts = [f"voxfield {stage.name}"]
    parts += [f"--{_port(stage.inputs, name).flag} {value}" for name, value in inputs.items()]
    parts += [f"--out-{_port(stage.outputs, name).flag} {value}" for name, value in outputs.items()]
    return " ".join(parts)


def _port(ports: Sequence[Port], name: str) -> Port:
    return next(port for port in ports if port.name == name)


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < SEED_LIMIT:
        raise argparse.ArgumentTypeError(f"a seed is an integer from 0 to 2^53 - 1, not {text}")
    return value
