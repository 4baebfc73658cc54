"""What a run survives: kills at random moments, and damage to its files.

Kills: a pipeline of light stages, in batches and scan by scan, is started, and a process of it is killed at a random
moment: `voxfield run` itself, Snakemake, a job's shell, a stage, or all at once; by SIGKILL, SIGTERM or SIGINT. Then it
is started again, and killed again, five times in the same folder, before it may end. It has to end with the bytes of a
run that nobody disturbed, with records that agree, and with no temporary file. Only kills that hit a living process
count.

Damage: files or records of a finished run are changed behind its back, half of the time while jobs that read them still
have to run. The next `voxfield run` has to mend what it can see (sizes, times, and whatever a stage is given);
`voxfield verify` has to find the rest, and the run after it to mend that.

A run is drawn by its seed; `--seeds` says how many runs of each sort. With `--json FILE` what is finished is kept in
FILE.parts and not done again. A run that did not end well keeps its folder.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from _common import ROOT, Claim, finish, options
from _parts import finished, kept
from voxfield.artifacts import Image, Table
from voxfield.records import hash_file, read_record, record_path
from voxfield.runs.damage import is_sound

PIPELINE = ROOT / "tests" / "workflow" / "intact"
SUBJECTS = ("a", "b", "c")
KILLS = 5
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VICTIMS = ("group", "controller", "snakemake", "shell", "stage")
LEFT_OVER = (".vf*", "*.tmp", "*.work")
WORKERS = 2


@dataclass(frozen=True)
class Task:
    """One run to be disturbed.

    folder   where it goes; holds the scans with their table, and the undisturbed run `whole`
    seconds  how long that took
    """

    sort: str
    seed: int
    folder: Path
    seconds: float

    @property
    def table(self) -> Path:
        """The table of the scans."""
        return self.folder / "scans" / "cohort.tsv"

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.folder / f"{self.sort}-{self.seed}"

    @property
    def log(self) -> Path:
        """What its commands say."""
        return self.folder / f"{self.sort}-{self.seed}.log"


def cohort(folder: Path) -> Path:
    """A volume a subject, and the table that lists them."""
    folder.mkdir()
    for number, subject in enumerate(SUBJECTS):
        data = np.random.default_rng(number).random((24,) * 3).astype("f4")
        Image(data, np.eye(4)).save(folder / f"{subject}.nii.gz")
    table = folder / "cohort.tsv"
    Table({"subject": list(SUBJECTS), "image": [f"{s}.nii.gz" for s in SUBJECTS]}).save(table)
    return table


def command(run: Path, table: Path) -> list[str]:
    """The run of the pipeline."""
    words = ["run", str(PIPELINE), "--directory", str(run), "--cores", "2", "--set", f"cohort={table}"]
    return [sys.executable, "-m", "voxfield", *words]


def started(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own."""
    with log.open("ab") as stream:
        return subprocess.Popen(words, start_new_session=True, stdout=stream, stderr=stream)


def ended(words: list[str], log: Path) -> int:
    """Run to the end; its exit code."""
    with started(words, log) as process:
        return process.wait()


def results(run: Path) -> dict[str, str]:
    """The hash of every result of a run."""
    files = [path for path in run.rglob("*") if path.is_file() and not {".snakemake", "damaged"} & {*path.parts}]
    return {str(path.relative_to(run)): hash_file(path)[0] for path in files if read_record(path) is not None}


def left_over(run: Path) -> list[str]:
    """Temporary files of processes that are gone."""
    return [str(path.relative_to(run)) for pattern in LEFT_OVER for path in run.rglob(pattern)]


def kinds(process: subprocess.Popen[bytes]) -> dict[str, list[psutil.Process]]:
    """The living processes of a run, by what they are."""
    found: dict[str, list[psutil.Process]] = {"controller": [psutil.Process(process.pid)]}
    for child in found["controller"][0].children(recursive=True):
        words = child.cmdline()
        kind = "snakemake" if "snakemake" in words else "shell" if words[1:2] == ["-c"] else "stage"
        found.setdefault(kind, []).append(child)
    return found


def kill(process: subprocess.Popen[bytes], draw: random.Random) -> str | None:
    """Kill a process of a run, or all; which and how, or None where there was none alive."""
    how = draw.choice(SIGNALS)
    try:
        living = {**kinds(process), "group": [psutil.Process(process.pid)]}
        kind = draw.choice([name for name in VICTIMS if name in living])
        victim = draw.choice(living[kind])
        if victim.status() == psutil.STATUS_ZOMBIE:
            return None
        if kind == "group":
            os.killpg(victim.pid, how)
        else:
            victim.send_signal(how)
    except (psutil.Error, OSError):
        return None  # it ended just now
    return f"{kind} by {how.name}"


def killed(task: Task) -> dict[str, Any]:
    """A run that is killed and resumed until it was hit often enough, and then left to end."""
    draw = random.Random(task.seed)  # noqa: S311  # no secret
    words, whole = command(task.run, task.table), results(task.folder / "whole")
    hits: Counter[str] = Counter()
    while hits.total() < KILLS:
        with started(words, task.log) as process:
            time.sleep(draw.uniform(0.2, 1.1) * task.seconds)
            while process.poll() is None and hits.total() < KILLS:
                if what := kill(process, draw):
                    hits[what] += 1
                if draw.random() < 0.5:
                    break
                time.sleep(draw.uniform(0.0, 0.5) * task.seconds)
            if process.poll() is None and draw.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode == 0 and hits.total() < KILLS:
            shutil.rmtree(task.run)  # it was done before it was hit often enough
    code = ended(words, task.log)
    told = {
        "kills": dict(hits),
        "code": code,
        "differs": sorted(set(whole.items()) ^ set(results(task.run).items())),
        "left over": left_over(task.run),
        "unsound": [name for name in whole if not is_sound(task.run / name)],
    }
    return finally_told(task, told, sound=not (code or told["differs"] or told["left over"] or told["unsound"]))


def finally_told(task: Task, told: dict[str, Any], *, sound: bool) -> dict[str, Any]:
    """What became of a run; its folder is removed where that is nothing to look into."""
    if sound:
        shutil.rmtree(task.run)
    print(task.run, told, file=sys.stderr)
    return {**told, "sound": sound}


def changes() -> dict[str, Callable[[Path, random.Random], None]]:
    """Ways in which a result or its record is damaged."""

    def rewritten(path: Path, data: bytes, *, later: bool) -> None:
        times = path.stat()
        path.write_bytes(data)
        if not later:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def flip(path: Path, draw: random.Random) -> None:
        data = bytearray(path.read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        rewritten(path, bytes(data), later=draw.random() < 0.5)

    def truncate(path: Path, draw: random.Random) -> None:
        rewritten(path, path.read_bytes()[: draw.randrange(1, path.stat().st_size)], later=draw.random() < 0.5)

    def zero(path: Path, draw: random.Random) -> None:
        rewritten(path, b"\0" * path.stat().st_size if draw.random() < 0.5 else b"", later=draw.random() < 0.5)

    def unrecord(path: Path, draw: random.Random) -> None:
        record_path(path).unlink()

    def edit_record(path: Path, draw: random.Random) -> None:
        place = record_path(path)
        record = json.loads(place.read_text())
        record["voxfield"]["output"]["sha256"] = f"{draw.getrandbits(256):064x}"
        rewritten(place, json.dumps(record).encode(), later=draw.random() < 0.5)

    def break_record(path: Path, draw: random.Random) -> None:
        place = record_path(path)
        place.write_bytes(place.read_bytes()[: draw.randrange(place.stat().st_size)])

    return {f.__name__: f for f in (flip, truncate, zero, unrecord, edit_record, break_record)}


def damaged(task: Task) -> dict[str, Any]:
    """A copy of the finished run, damaged in one to three places; who found what, and whether it is whole again."""
    draw = random.Random(task.seed)  # noqa: S311  # no secret
    words, whole = command(task.run, task.table), results(task.folder / "whole")
    shutil.copytree(task.folder / "whole", task.run, copy_function=shutil.copy2)
    used = draw.random() < 0.5  # whoever reads the damaged files has still to run
    places = sorted(name for name in whole if not used or ("first" in name or "second" in name))
    ways = changes()
    done = {name: draw.choice(sorted(ways)) for name in draw.sample(places, draw.randint(1, 3))}
    for name, way in done.items():
        ways[way](task.run / name, draw)
    if used:
        for path in [*task.run.glob("sub-*/third*"), *task.run.glob("batches/third/*"), *task.run.glob("cohort.tsv*")]:
            path.unlink()
    verify = [sys.executable, "-m", "voxfield", "verify", str(task.run)]
    codes = [ended(words, task.log)]
    alone = [name for name in done if is_sound(task.run / name)]
    codes += [ended(verify, task.log), ended(words, task.log), ended(verify, task.log)]
    told = {"used": used, "done": done, "mended without verify": alone, "codes": codes,
            "differs": sorted(set(whole.items()) ^ set(results(task.run).items()))}  # fmt: skip
    return finally_told(task, told, sound=not (codes[0] or codes[2] or codes[3] or told["differs"]))


def disturbed(task: Task) -> dict[str, Any]:
    """One run of either sort."""
    return killed(task) if task.sort == "kill" else damaged(task)


def experiment(folder: Path, seeds: int, parts: Path) -> dict[str, Any]:
    """All runs of both sorts that are not kept yet, and those that are."""
    table = cohort(folder / "scans")
    before = time.monotonic()
    if ended(command(folder / "whole", table), folder / "whole.log") != 0:
        raise SystemExit((folder / "whole.log").read_text())
    seconds = time.monotonic() - before
    tasks = [Task(sort, seed, folder, seconds) for seed in range(seeds) for sort in ("kill", "damage")]
    return finished({f"{task.sort}-{task.seed}": task for task in tasks}, disturbed, parts, WORKERS)


def main() -> None:
    """Run, count, print, write."""
    chosen = options(__doc__ or "", seeds=40)
    folder = Path(tempfile.mkdtemp(prefix="voxfield-faults-"))
    with kept(chosen.json) as parts:
        told = experiment(folder, 1 if chosen.quick else chosen.seeds, parts)
    kills = [row for row in told.values() if "kills" in row]
    damages = [row for row in told.values() if "done" in row]
    if all(row["sound"] for row in told.values()):
        shutil.rmtree(folder)
    hits = sum((Counter(row["kills"]) for row in kills), Counter[str]())
    ways = Counter(way for row in damages for way in row["done"].values())
    alone = Counter(row["done"][name] for row in damages for name in row["mended without verify"])
    claims = [
        Claim("kills that hit a living run", hits.total(), KILLS if chosen.quick else 200, ">="),
        Claim("runs that did not end like an undisturbed one", sum(not row["sound"] for row in kills), 0, "<="),
        Claim("damaged runs that were not whole again", sum(not row["sound"] for row in damages), 0, "<="),
    ]
    killed_rows = [{"killed": what, "times": count} for what, count in sorted(hits.items())]
    damage_rows = [{"damage": way, "times": n, "mended without verify": alone[way]} for way, n in sorted(ways.items())]
    finish(chosen, claims, killed_rows, damage_rows)


if __name__ == "__main__":
    main()
