"""The command `voxfield`. It imports nothing heavy: names come from entry points, a stage is imported when it runs.

Exit codes: 0 done, 1 a bug, 2 bad input or settings, 3 the machine or a part of a cohort failed, 4 so much of a cohort
failed that the run counts as failed, 130 interrupted.
"""

import errno
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield import __version__, processes
from voxfield.cohorts.command import cohort
from voxfield.errors import InputError, VoxfieldError
from voxfield.options import parse
from voxfield.runs import commands

if TYPE_CHECKING:
    from voxfield.runner import Call

USAGE = """usage: voxfield COMMAND ...

commands
  list                          the stages that are installed
  describe STAGE                what a stage computes: inputs, outputs, settings, units, source
  check FILE... [--as KIND]     what would a stage say of these files? A cohort.tsv: of all of its scans
  cohort FOLDER [--pattern P]   a cohort table from BIDS, nnU-Net, DICOM or names of your own; lists what did not match
  <family>.<stage> ...          run one stage (`voxfield segmentation.predict --help`)
  each TABLE -- NAME STAGE ...  run several stages, one after the other, on every row of a table
  plan PIPELINE [--subjects N]  hours, memory and disk for N scans, from one that is run
  run PIPELINE [--config FILE]  run a pipeline with Snakemake
  retry RUN_DIR                 repeat only what failed in a run
  verify RUN_DIR [--rerun K]    hash every file of a run anew; make K subjects once more and compare
  diff RUN_A RUN_B              settings, versions and numbers of two runs, paired by patient
  export RUN_DIR --out FILE     pack a run without its patients' data, so that another site can repeat it
  report RUN_DIR                print where the report of a run is and what failed
  derivatives RUN_DIR FOLDER    the results of every scan as a BIDS derivative

options
  --version                     print the version
  --help                        print this text
"""
GRACE_S = 60.0  # whoever started several processes ends them all in a moment; the one that is gone has said why
NO_SUCH_PLACE = {errno.EACCES, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS}
OUT_OF_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EFBIG}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        return _dispatch(words)
    except VoxfieldError as error:
        if isinstance(error, processes.PartnerLost):
            time.sleep(GRACE_S)
        return processes.complain(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted; what was finished is kept, and the same command goes on from there")
        return 130
    except MemoryError as error:
        why = f"not enough memory ({error or 'no detail'}); use a smaller volume or a larger machine"
        return processes.complain(f"error: {why}", 3)
    except BrokenPipeError:
        return 0
    except OSError as error:
        return _told_of_files(error)


def _told_of_files(error: OSError) -> int:
    """Say what the file system refused, where it is the machine's fault or that of a path; anything else is a bug."""
    if error.errno in NO_SUCH_PLACE and error.filename is not None:
        return processes.complain(f"error: {error.filename}: {error.strerror}; check the path", 2)
    if error.errno in OUT_OF_MACHINE:
        why = f"{error.filename or 'output'}: {error.strerror}; nothing was left half-written"
        return processes.complain(f"error: {why}", 3)
    raise error


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        _print(USAGE)
        return 0
    if words[0] == "--version":
        _print(f"voxfield {__version__}\n")
        return 0
    command, rest = words[0], words[1:]
    if command in COMMANDS:
        return COMMANDS[command](rest)
    if "." in command:
        return _stage(command, rest)
    known = ", ".join([*COMMANDS, "<family>.<stage>"])
    raise InputError(f"command {command!r} is unknown; known are {known}")


def _list(words: list[str]) -> int:
    parse("list", words)
    from voxfield.registry import names

    _print("".join(f"{name}\n" for name in names()))
    return 0


def _describe(words: list[str]) -> int:
    options = parse("describe", words, ("stage", {}), ("--json", {"action": "store_true"}))
    from voxfield.cards import card, schema
    from voxfield.registry import get

    stage = get(options.stage)
    _print(schema(stage) if options.json else card(stage))
    return 0


def _check(words: list[str]) -> int:
    options = parse(
        "check",
        words,
        ("files", {"nargs": "*", "type": Path, "metavar": "FILE"}),
        ("--as", {"dest": "kind", "metavar": "KIND", "help": "Image, LabelMap, Table, ...; by the name if absent"}),
        ("--pair", {"nargs": 2, "type": Path, "metavar": ("IMAGE", "MASK"), "help": "must share one grid"}),
        ("--labels", {"type": _integers, "metavar": "0,1,2", "help": "the labels that a mask may hold"}),
        ("--schema", {"metavar": "NAME", "help": "a stage, a pipeline or a JSON Schema file, for settings files"}),
        ("--max-voxels", {"type": float, "default": None, "help": "largest volume to read"}),
    )
    from voxfield.checking import check_files

    return check_files(options.files, kind=options.kind, pair=options.pair, labels=options.labels,
                       schema=options.schema, max_voxels=options.max_voxels)  # fmt: skip


def _stage(name: str, words: list[str]) -> int:
    from voxfield.command import call_from, parser
    from voxfield.each import run_each
    from voxfield.registry import get
    from voxfield.runner import run

    stage = get(name)
    flags = parser(stage)
    options = flags.parse_args(words)
    if options.each is not None and options.processes > 1:
        raise InputError("--processes goes with one call, not with --each")
    if options.each is not None:
        rows = run_each(
            words, lambda filled: call_from(stage, flags.parse_args(filled)), options.each, options.manifest
        )
        counts = ", ".join(f"{sum(r.outcome == o for r in rows)} {o}" for o in ("done", "skipped"))
        _say(f"{len(rows)} rows: {counts}")
        return 0
    if options.manifest is not None:
        raise InputError("--manifest goes with --each")
    call = call_from(stage, options)
    if options.processes > 1 and processes.count() == 1:
        return _launch(call, words, options.processes)
    for finding in run(call):
        _say(str(finding))
    return 0


def _launch(call: "Call", words: list[str], count: int) -> int:
    """Have several processes run one call; mistakes in its settings are told before they start."""
    from voxfield.launcher import launch

    if not call.stage.distributed:
        raise InputError(f"{call.stage.name} runs in one process; {count} were asked for")
    call.stage.settings.validate(call.settings)
    return launch([call.stage.name, *words], count)


def _each(words: list[str]) -> int:
    start = words.index("--") if "--" in words else len(words)
    options = parse(
        "each",
        words[:start],
        ("table", {"type": Path}),
        ("--manifest", {"type": Path, "metavar": "FILE", "help": "what became of every row"}),
        ("--seed", {"type": int, "default": 0}),
    )
    from voxfield.steps import run_steps, steps_of

    counts = run_steps(steps_of(words[start:]), options.table, options.manifest, options.seed)
    _say(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": _list,
    "describe": _describe,
    "check": _check,
    "cohort": cohort,
    "each": _each,
    "plan": commands.plan,
    "run": commands.run,
    "retry": commands.retry,
    "verify": commands.verify,
    "diff": commands.diff,
    "export": commands.export,
    "report": commands.report,
    "derivatives": commands.derivatives,
}


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _print(text: str) -> None:
    sys.stdout.write(text)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
