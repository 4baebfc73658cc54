"""The commands that speak of whole runs. What a command does is imported when it is given."""

from pathlib import Path

from voxfield.options import parse


def run(words: list[str]) -> int:
    """`voxfield run PIPELINE`."""
    options = parse(
        "run",
        words,
        ("pipeline", {}),
        ("--config", {"type": Path, "metavar": "FILE", "help": "settings over the pipeline's own"}),
        ("--set", {"action": "append", "default": [], "metavar": "KEY=VALUE", "help": "one setting; dots go deeper"}),
        ("--directory", {"type": Path, "metavar": "RUN_DIR", "help": "where the run lives (runs/PIPELINE)"}),
        ("--profile", {"metavar": "NAME", "help": "default, slurm, gpu or a folder (default)"}),
        ("--cores", {"type": int, "metavar": "N", "help": "CPU cores (all)"}),
        ("-n", {"dest": "dry", "action": "store_true", "help": "say what would be done"}),
    )
    from voxfield.runs.launch import run_pipeline

    return run_pipeline(options.pipeline, config=options.config, assignments=options.set,
                        directory=options.directory, profile=options.profile, cores=options.cores,
                        dry=options.dry)  # fmt: skip


def retry(words: list[str]) -> int:
    """`voxfield retry RUN_DIR`."""
    options = parse(
        "retry",
        words,
        ("run_dir", {"type": Path}),
        ("--profile", {"metavar": "NAME", "help": "default, slurm, gpu or a folder (as the run was started last)"}),
        ("--cores", {"type": int, "metavar": "N", "help": "CPU cores (all)"}),
        ("-n", {"dest": "dry", "action": "store_true", "help": "say what would be done"}),
    )
    from voxfield.runs.retry import retry_run

    return retry_run(options.run_dir, profile=options.profile, cores=options.cores, dry=options.dry)


def plan(words: list[str]) -> int:
    """`voxfield plan PIPELINE`."""
    options = parse(
        "plan",
        words,
        ("pipeline", {}),
        ("--config", {"type": Path, "metavar": "FILE", "help": "settings over the pipeline's own"}),
        ("--set", {"action": "append", "default": [], "metavar": "KEY=VALUE", "help": "one setting; dots go deeper"}),
        ("--subjects", {"type": int, "metavar": "N", "help": "scans to plan for (those of the cohort)"}),
        ("--cores", {"type": int, "metavar": "N", "help": "jobs at a time (1)"}),
        (
            "--directory",
            {"type": Path, "metavar": "RUN_DIR", "help": "a run whose records are taken, or where one goes"},
        ),
    )
    from voxfield.runs.measure import plan_run

    return plan_run(options.pipeline, config=options.config, assignments=options.set, directory=options.directory,
                    subjects=options.subjects, cores=options.cores)  # fmt: skip


def verify(words: list[str]) -> int:
    """`voxfield verify RUN_DIR`."""
    options = parse(
        "verify",
        words,
        ("run_dir", {"type": Path}),
        ("--rerun", {"nargs": "+", "metavar": "K", "help": "make K subjects, or those named, once more and compare"}),
        ("--seed", {"type": int, "default": 0, "help": "by which K subjects are drawn (0)"}),
    )
    from voxfield.runs.verify import verify_run

    code = verify_run(options.run_dir)
    if options.rerun is None:
        return code
    from voxfield.runs.rerun import rerun_subjects

    return rerun_subjects(options.run_dir, options.rerun, options.seed)


def diff(words: list[str]) -> int:
    """`voxfield diff RUN_A RUN_B`."""
    options = parse(
        "diff",
        words,
        ("run_a", {"type": Path, "help": "folder of a run, or an unpacked export"}),
        ("run_b", {"type": Path}),
        ("--json", {"type": Path, "metavar": "FILE", "help": "write everything as JSON"}),
        ("--page", {"type": Path, "metavar": "FOLDER", "help": "write a page to look at"}),
    )
    from voxfield.runs.diff import diff_runs

    return diff_runs(options.run_a, options.run_b, json_file=options.json, page=options.page)


def export(words: list[str]) -> int:
    """`voxfield export RUN_DIR --out FILE.tar.gz`."""
    options = parse(
        "export",
        words,
        ("run_dir", {"type": Path}),
        ("--out", {"type": Path, "required": True, "metavar": "FILE.tar.gz"}),
        ("--with", {"dest": "amount", "choices": ("records", "results", "all"), "default": "records",
                    "help": "results: numbers of every subject; all: the files as well (records)"}),
        ("--keep-ids", {"action": "store_true", "help": "no pseudonyms for subjects and patients"}),
    )  # fmt: skip
    from voxfield.runs.export import export_run

    return export_run(options.run_dir, options.out, amount=options.amount, keep_ids=options.keep_ids)


def report(words: list[str]) -> int:
    """`voxfield report RUN_DIR`."""
    options = parse("report", words, ("run_dir", {"type": Path}))
    from voxfield.runs.share import report_run

    return report_run(options.run_dir)


def derivatives(words: list[str]) -> int:
    """`voxfield derivatives RUN_DIR FOLDER`."""
    options = parse(
        "derivatives",
        words,
        ("run_dir", {"type": Path}),
        ("folder", {"type": Path, "help": "of the BIDS derivative; one that this command wrote is gone on with"}),
    )
    from voxfield.runs.derivatives import write_derivatives

    return write_derivatives(options.run_dir, options.folder)
