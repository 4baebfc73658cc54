"""The command of a stage, made from its signature."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxfield.artifacts import Limits, Table
from voxfield.errors import InputError
from voxfield.intact import load_intact
from voxfield.runner import Call, Given
from voxfield.settings import parse_assignments, unknown_key
from voxfield.stage import Stage

SEED_LIMIT = 2**53
PLACE = re.compile(r"\{([^{}]*)\}")


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
        made.add_argument(f"--out-{port.flag}", dest=f"out_{port.name}", metavar="FILE", help=f"{port.describe()} out")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting")
    made.add_argument("--settings", type=Path, metavar="FILE", help="settings as YAML; --set wins")
    made.add_argument("--seed", type=_seed, default=0, help="every random number follows from it (0)")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    made.add_argument("--max-voxels", type=float, default=Limits().max_voxels, help="largest volume to read")
    made.add_argument("--processes", type=_positive, default=1, help="that train one model together, one a GPU (1)")
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
        port.name: Path(value) for port in stage.outputs if (value := getattr(options, f"out_{port.name}")) is not None
    }
    return Call(
        stage,
        inputs,
        outputs,
        read_settings(stage, options.settings, options.set),
        seed=options.seed,
        device=options.device,
        show=options.progress,
        limits=Limits(max_voxels=int(options.max_voxels)),
    )


def read_settings(stage: Stage[..., Any], file: Path | None, assignments: Sequence[str]) -> Mapping[str, Any]:
    """Settings of a YAML file with `--set` values on top."""
    from voxfield.settings_yaml import load_yaml

    values: dict[str, Any] = {}
    if file is not None:
        values.update(load_yaml(file))
        stage.settings.validate(values, file=file)
    values.update(parse_assignments(assignments, stage.settings.text_fields))
    return values


def expand(words: Sequence[str]) -> list[Path]:
    """Paths of a `Sequence` input.

    `@table.tsv:column` stands for the files of a column, `@table.tsv:images/{subject}.nii.gz` for a name made from
    every row; both are taken from beside the table, in the order of its rows.
    """
    paths: list[Path] = []
    for word in words:
        if not word.startswith("@"):
            paths.append(Path(word))
            continue
        place, colon, pattern = word[1:].rpartition(":")
        if not colon:
            raise InputError(f"{word!r} names no column; write @TABLE.tsv:COLUMN or @TABLE.tsv:NAME-{{COLUMN}}")
        table = load_intact(Table, Path(place))
        filled = pattern if PLACE.search(pattern) else f"{{{pattern}}}"
        paths.extend(Path(place).parent / fill(filled, row, Path(place)) for row in table.rows())
    return paths


def fill(word: str, row: Mapping[str, Any], table: Path) -> str:
    """Replace every `{column}` of a word by the row's value."""

    def value(match: re.Match[str]) -> str:
        column = match.group(1)
        if column not in row:
            raise InputError(unknown_key(column, row).replace("setting", "column", 1), file=table)
        if row[column] is None:
            raise InputError(f"column {column!r} is empty in a row that needs it", file=table)
        return str(row[column])

    return PLACE.sub(value, word)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text}")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < SEED_LIMIT:
        raise argparse.ArgumentTypeError(f"a seed is an integer from 0 to 2^53 - 1, not {text}")
    return value
