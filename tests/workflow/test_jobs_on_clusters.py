"""What a run does about jobs that others run for it, without a cluster: see tests/slurm for the real thing."""

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from voxfield.artifacts import Image
from voxfield.errors import InputError, MachineError
from voxfield.paths import RUN_MARKER, resource_folder
from voxfield.registry import get
from voxfield.runner import Call, run
from voxfield.runs import live
from voxfield.runs.configuration import merged_config
from voxfield.runs.engine import Engine, pipeline_folder
from voxfield.runs.failures import failures
from voxfield.runs.folder import SETTINGS
from voxfield.runs.kept import forget, lay_by
from voxfield.runs.live import wait_for_orphans
from voxfield.runs.lost import note_lost_jobs
from voxfield.runs.slurm import job_prefix
from voxfield.runs.untold import note_untold_failures
from voxfield.settings_yaml import dump_yaml
from voxfield.workflow import Stages

WORKFLOW = resource_folder("workflow")
RULE = re.compile(r"^( *)rule(?: \w+)?:\n((?:\1 +.*\n|\n)+)", re.MULTILINE)
REFUSED = """
Job 5 has been submitted with SLURM jobid 7 (log: /x/logs/slurm/rule_first/a/7.log).
[Sun Nov 22 04:07:34 2026]
Error in rule first:
    message: SLURM sbatch failed. The error message was 'sbatch: error: Invalid partition name specified'.
    jobid: 5
    input: /scans/a.nii.gz
    output: sub-a/first.tsv
    log: logs/sub-a/first.log (check log file(s) for error details)
    shell:
        {a_first}
        (command exited with non-zero exit code)
[Sun Nov 22 04:07:35 2026]
    message: Error in group scan
    log: /x/logs/slurm/group_scan_first_then/8.log (check log file(s) for error details)
    jobs:
        rule first:
            jobid: 2
            output: sub-b/first.tsv
    [Sun Nov 22 04:07:35 2026]
    Error in rule then:
        message: None
        jobid: 2
        input: sub-b/first.tsv, /scans/b.nii.gz
        output: sub-b/then.tsv
        shell:
            {b_then}
    [Sun Nov 22 04:07:35 2026]
    Error in rule first:
        message: None
        jobid: 3
        input: /scans/b.nii.gz
        output: sub-b/first.tsv
        shell:
            {b_first}
"""


def shell_line(job: str) -> str:
    """The shell line of a job as Snakemake shows it."""
    subject, rule = job.split("_")
    line = Stages({}).shell("io.cohort", "", "cohort").replace(":q}", "}")
    given = {
        "wildcards": SimpleNamespace(subject=subject),
        "output": SimpleNamespace(cohort=f"sub-{subject}/{rule}.tsv"),
        "params": SimpleNamespace(settings="", seed=0),
    }
    return line.format(rule=rule, log=f"logs/sub-{subject}/{rule}.log", **given)


def slurm_says(monkeypatch: pytest.MonkeyPatch, folder: Path, **answers: str) -> None:
    """Put commands of Slurm on the path that answer so, and fail where the answer is empty."""
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("squeue", "sacct"):
        script = folder / "bin" / name
        script.write_text(f"#!/bin/sh\necho '{answers[name]}'\n" if name in answers else "#!/bin/sh\nexit 1\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def test_every_rule_says_what_it_needs_and_none_retries_by_itself() -> None:
    files = [*WORKFLOW.rglob("*.smk"), *resource_folder("pipelines").rglob("Snakefile")]
    rules = [(file, found[0]) for file in files for found in RULE.finditer(f"{file.read_text()}\n")]
    assert len(rules) > 40
    for file, text in rules:
        where = f"{file.name}: {text.strip().splitlines()[0]}"
        if "shell:" in text:
            assert "resources:" in text, where
            assert "threads:" in text, where
            assert "log:" in text, where
        for ours in ("retries:", "group:", "partition", "account"):
            assert ours not in text, f"{where} {ours} is the profile's"


def test_the_profile_groups_rules_that_there_are() -> None:
    profile = yaml.safe_load((WORKFLOW / "profiles" / "slurm" / "profile.yaml").read_text())
    rules = {name for file in WORKFLOW.rglob("*.smk") for name in re.findall(r"^ *rule (\w+):", file.read_text(), re.M)}
    assert {group.partition("=")[0] for group in profile["groups"]} <= rules
    assert profile["retries"] >= 1


def test_a_further_attempt_gets_more_memory_and_a_run_for_the_cpu_no_gpu() -> None:
    own = {"segmentation.train": {"gpu": 1, "mem_mb": 500, "runtime": 7}, "io.cohort": {"mem_mb": 900, "runtime": 2}}
    need = Stages({"resources": own}).resources("segmentation.train", "io.cohort", rows=3)
    assert (need["gpu"], need["runtime"]) == (1, 27)
    assert [need["mem_mb"](None, attempt=n) for n in (1, 2, 3)] == [900, 1800, 2700]  # type: ignore[operator]
    assert Stages({"resources": own, "device": "cpu"}).resources("segmentation.train")["gpu"] == 0


def test_cores_of_this_machine_limit_nothing_on_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    home = resource_folder("pipelines") / "airway"
    here, there = Engine(home, tmp_path).command(), Engine(home, tmp_path, "slurm").command()
    assert "--cores" in here
    assert "--slurm-logdir" not in here
    assert "--cores" not in there
    assert there[there.index("--slurm-jobname-prefix") + 1] == job_prefix(tmp_path)
    assert "--cores" in Engine(home, tmp_path, "slurm", cores=4).command()
    (tmp_path / "profile.yaml").write_text("executor: no-such-engine\njobs: 3\n")
    with pytest.raises(InputError, match="pip install snakemake-executor-plugin-no-such-engine"):
        Engine(home, tmp_path, str(tmp_path)).command()


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["surface_field", "pde_atlas", "airway"])
def test_groups_of_the_profile_change_no_job(pipeline: str, tmp_path: Path) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    home = pipeline_folder(pipeline)
    (tmp_path / SETTINGS).write_text(dump_yaml(merged_config(home, None, [])))
    here, there = Engine(home, tmp_path).planned(), Engine(home, tmp_path, "slurm").planned()
    assert here == there
    assert len(here) > 10


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ({"sacct": "TIMEOUT"}, "ran past its time limit; raise `runtime` under `resources` (TIMEOUT)"),
        ({"squeue": "OUT_OF_MEMORY"}, "needed more memory than it had asked for; raise `mem_mb`"),
        ({"sacct": "CANCELLED by 1000"}, "was cancelled (CANCELLED)"),
        ({}, "Slurm job 17 ended before it could say why"),
    ],
)
def test_a_job_that_is_gone_without_a_word_is_a_failure(
    answers: dict[str, str], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(monkeypatch, tmp_path, **answers)
    (tmp_path / "failures").mkdir()
    mark = tmp_path / "failures" / "a.repair.started"
    mark.write_text("17\nfailures/a.repair.json\na\nsegmentation.repair\nlogs/sub-a/segmentation.repair.log\n")
    note_lost_jobs(tmp_path)
    (note,) = failures(tmp_path)
    assert (note["subject"], note["stage"]) == ("a", "segmentation.repair")
    assert note["log"] == "logs/sub-a/segmentation.repair.log"
    assert cause in note["reason"]
    assert not mark.exists()


def test_a_job_that_is_live_on_slurm_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm_says(monkeypatch, tmp_path, squeue=f"17|{job_prefix(tmp_path)}_x|RUNNING")
    (tmp_path / "failures").mkdir()
    (tmp_path / "logs" / "slurm").mkdir(parents=True)
    mark = tmp_path / "failures" / "a.repair.started"
    mark.write_text("17\nfailures/a.repair.json\na\nsegmentation.repair\nlogs/sub-a/segmentation.repair.log\n")
    note_lost_jobs(tmp_path)
    assert not failures(tmp_path)
    assert mark.exists()


def test_jobs_that_never_began_are_found_in_the_log_of_snakemake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(monkeypatch, tmp_path, squeue="CANCELLED")
    log = tmp_path / ".snakemake" / "log" / "2026-11-22T040721.523489.snakemake.log"
    log.parent.mkdir(parents=True)
    log.write_text(REFUSED.format(**{job: shell_line(job) for job in ("a_first", "b_first", "b_then")}))
    note_untold_failures(tmp_path)
    notes = {note["subject"]: note for note in failures(tmp_path)}
    assert sorted(notes) == ["a", "b"], "what waits for a job that never began is not to blame"
    assert "Invalid partition name" in notes["a"]["reason"]
    assert notes["b"]["stage"] == "io.cohort"
    assert notes["b"]["reason"] == "Slurm job 8 was cancelled (CANCELLED)"
    assert (tmp_path / notes["b"]["log"]).read_text() == "error: Slurm job 8 was cancelled (CANCELLED)\n"

    for note in (tmp_path / "failures").iterdir():
        note.unlink()
    for subject in "ab":
        (tmp_path / f"sub-{subject}").mkdir()
        for name in ("first", "then"):
            (tmp_path / f"sub-{subject}" / f"{name}.tsv").touch()
    note_untold_failures(tmp_path)
    assert not failures(tmp_path), "a later attempt made it all"


def test_a_run_waits_for_its_jobs_on_slurm_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for_orphans(tmp_path)  # never was on Slurm: nobody is asked
    (tmp_path / "logs" / "slurm").mkdir(parents=True)
    slurm_says(monkeypatch, tmp_path)
    with pytest.raises(MachineError, match="squeue does not answer"):
        wait_for_orphans(tmp_path)
    slurm_says(monkeypatch, tmp_path, squeue=f"17|{job_prefix(tmp_path)}_x|PENDING\n18|other|RUNNING")
    monkeypatch.setattr(
        live.time, "sleep", lambda _: slurm_says(monkeypatch, tmp_path, squeue="18|other|RUNNING"), raising=True
    )
    wait_for_orphans(tmp_path)
    told = capsys.readouterr().err
    assert "left behind in this folder: 17 pending; `scancel 17` ends them sooner" in told
    assert "18" not in told


def test_what_a_job_finished_after_its_run_was_killed_is_taken(tmp_path: Path) -> None:
    place, scan = tmp_path / "run", tmp_path / "scan.nii.gz"
    Image(np.random.default_rng(0).random((6, 6, 6)).astype("f4"), np.eye(4)).save(scan)
    made, record = place / "sub-a" / "annotation.nii.gz", place / "sub-a" / "annotation.json"
    mark = place / ".snakemake" / "incomplete" / base64.urlsafe_b64encode(b"sub-a/annotation.nii.gz").decode()
    mark.parent.mkdir(parents=True)
    mark.touch()
    (place / RUN_MARKER).write_text(json.dumps({"schema": 1}))
    asked = {"every": 2, "threshold": 0.5}
    call = Call(get("segmentation.annotate"), {"image": scan, "dense": None}, {"annotation": made}, asked)
    run(call)
    first, bytes_made = json.loads(record.read_text()), made.read_bytes()
    lay_by(place)
    made.unlink()  # as Snakemake does before the job comes again
    record.unlink()
    run(call)
    assert json.loads(record.read_text()) == first, "seconds and all"
    assert made.read_bytes() == bytes_made

    run(Call(call.stage, call.inputs, call.outputs, {**asked, "every": 3}))
    assert json.loads(record.read_text())["voxfield"]["key"] != first["voxfield"]["key"], "other settings are computed"
    forget(place)
    assert not list(place.rglob("voxfield-kept"))
