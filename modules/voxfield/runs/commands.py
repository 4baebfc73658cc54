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


def verify(words: list[str]) -> int:
    """`voxfield verify RUN_DIR`."""
    options = parse("verify", words, ("run_dir", {"type": Path}))
    from voxfield.runs.verify import verify_run

    return verify_run(options.run_dir)


def report(words: list[str]) -> int:
    """`voxfield report RUN_DIR`."""
    options = parse("report", words, ("run_dir", {"type": Path}))
    from voxfield.runs.share import report_run

    return report_run(options.run_dir)
