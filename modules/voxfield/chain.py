"""Several short stages of a scan in one job, and several scans in one process: rules of a chain of steps.

    LUMEN = "sub-{subject}/lumen.nii.gz"
    TREES = Chain(
        stages,
        "trees",
        [
            Step("repair", "segmentation.repair", {"probability": "sub-{subject}/p.nii.gz", "out-repaired": LUMEN}),
            Step("centerline", "segmentation.centerline", {"mask": LUMEN, "out-centerline": "sub-{subject}/c.swc"}),
        ],
        {subject: {} for subject in ROWS},
    )

    rule trees:
        input: table=TREES.table, segmented=lambda w: SEGMENTED.manifests(TREES.members(w.batch))
        output: manifest=TREES.done
        log: TREES.log
        params: **TREES.params()
        resources: **TREES.resources()
        shell: TREES.shell()

A job is `voxfield each` on the table of its batch: it takes one scan after the other through all steps, leaves out what
is current, and writes down step by step what became of it. A failed step takes with it what needs its files, and
nothing else. Notes of failures, logs and seeds are those of a rule of that name on one scan.

Standard library only, since every start of Snakemake comes through here.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxfield.batches import Batches, Rows
from voxfield.codehash import code_hash
from voxfield.registry import module_of
from voxfield.workflow import PYTHON, Stages, batch_line

SPREAD = 16  # small cohorts go in smaller batches, so that there is a job for every core


@dataclass(frozen=True)
class Step:
    """One stage of a chain.

    rule      its name in `failures/`
    flags     flag -> what stands behind it, with `{column}` for the value of a row; a row that lacks a column that a
              step asks for goes without the step
    settings  those that the rule itself decides; the run's own win
    more      column that holds further words of a row, quoted for the shell
    """

    rule: str
    stage: str
    flags: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    more: str = ""

    @property
    def products(self) -> tuple[str, ...]:
        """The files that it makes of a scan."""
        return tuple(path for flag, path in self.flags.items() if flag.startswith("out-"))


class Chain(Batches):
    """Batches of a rule that takes each scan through several stages.

    steps   in the order in which they run
    size    scans of a batch at most
    failed  (subject, rule) of all failures: a scan goes without the steps that it failed in
    lost    subjects that go without the whole chain: a job that it needs has failed
    """

    def __init__(
        self,
        stages: Stages,
        rule: str,
        steps: Sequence[Step],
        rows: Rows,
        *,
        size: int = 8,
        failed: Collection[tuple[str, str]] = (),
        lost: Collection[str] = (),
        run: Path = Path(),
    ) -> None:
        self._stages, self._rule, self._steps = stages, rule, list(steps)
        products = {step.rule: step.products for step in steps}
        rows = {subject: {**row, "lost": self._lost(subject, failed)} for subject, row in rows.items()}
        super().__init__(rule, rows, products, size=size, spread=SPREAD, lost=lost, run=run)
        self._largest = max((len(members) for members in self._members.values()), default=1)
        self.table = f"batches/{rule}/{{batch}}.tsv"
        self.done = f"batches/{rule}/{{batch}}.done.tsv"
        self.log = f"logs/batches/{rule}.{{batch}}.log"

    def params(self) -> dict[str, Callable[..., str] | str]:
        """Steps with their settings, code and seed: what decides whether a batch is looked through again."""
        steps = " ".join(f"-- {self._words(step)}" for step in self._steps)
        return {
            "steps": lambda wildcards: steps,
            "code": " ".join(code_hash(module_of(step.stage)) for step in self._steps),
            "seed": str(self._stages.seed),
        }

    def resources(self) -> dict[str, Any]:
        """What the most demanding step needs, for the time of all steps on all scans of a batch."""
        return self._stages.resources(*(step.stage for step in self._steps), rows=self._largest)

    def threads(self) -> int:
        """CPU threads of the most demanding step."""
        return max(self._stages.threads(step.stage) for step in self._steps)

    def shell(self) -> str:
        """The shell line of the rule."""
        rows = f"batches/{self._rule}/{{wildcards.batch}}.rows"
        told = " ".join(f"{step.rule}={step.stage}" for step in self._steps)
        return batch_line(
            f"{PYTHON} -m voxfield each {{input.table:q}} --manifest {rows} --seed {{params.seed}} {{params.steps}}",
            f"--steps {{input.table:q}} {rows} {{log:q}} {told}",
            rows,
        )

    def _lost(self, subject: str, failed: Collection[tuple[str, str]]) -> str:
        return " ".join(step.rule for step in self._steps if (subject, step.rule) in failed) or "n/a"

    def _words(self, step: Step) -> str:
        words = [step.rule, step.stage]
        for flag, value in step.flags.items():
            words += [f"--{flag}", shlex.quote(value)]
        if step.more:
            words.append(shlex.quote(f"{{*{step.more}}}"))
        given = self._stages.settings.get(step.stage, {})
        return " ".join([*words, self._stages.flags({**step.settings, **given})])
