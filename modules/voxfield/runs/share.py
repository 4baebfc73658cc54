"""How many scans of a cohort finished, and whether that is enough.

The plan writes down who is in the cohort (`note_cohort`, from the Snakefile), the jobs write down what failed. A scan
has finished when it has what the pipeline makes of it, and no job failed that it can not do without. Standard library
only, since every start of Snakemake comes through here.
"""

import json
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from voxfield.errors import CohortError, FewFinishedError
from voxfield.runs.failures import failure_text, failures
from voxfield.runs.folder import SETTINGS, require_run, write_whole
from voxfield.runs.state import read_state
from voxfield.workflow import failed_jobs

COHORT = Path("batches", "cohort.json")


@dataclass(frozen=True)
class Share:
    """finished of all, what they are called, and the share of them that is needed."""

    finished: int
    of: int
    called: str
    needed: float

    @property
    def enough(self) -> bool:
        """Whether so many finished that the run counts."""
        return self.finished >= self.needed * self.of

    def __str__(self) -> str:
        return f"{self.finished} of {self.of} {self.called} finished"


def note_cohort(
    subjects: Iterable[str],
    product: str,
    *,
    optional: Collection[str] = (),
    called: str = "scans",
    run: Path = Path(),
) -> None:
    """Write down who is in the cohort.

    product   a file that every subject has when it has finished, such as `sub-{subject}/page/index.html`
    optional  rules that a subject can do without
    called    what the subjects are
    """
    content = {"subjects": list(subjects), "product": product, "optional": sorted(optional), "called": called}
    text = json.dumps(content, indent=0) + "\n"
    place = run / COHORT
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        place.parent.mkdir(exist_ok=True)
        write_whole(place, text)


def share_of(run: Path) -> Share | None:
    """How many scans finished so far; None where the pipeline speaks of no scans."""
    if not (run / COHORT).is_file():
        return None
    cohort = read_state(run / COHORT, {"subjects": list, "optional": list, "product": str, "called": str})
    lost = {subject for subject, rule in failed_jobs(run) if rule not in cohort["optional"]}
    products = {
        subject: run / cohort["product"].replace("{subject}", subject) for subject in map(str, cohort["subjects"])
    }
    finished = sum(subject not in lost and product.exists() for subject, product in products.items())
    return Share(finished, len(products), cohort["called"], _needed(run)) if products else None


def judge(run: Path) -> None:
    """Raise CohortError where jobs of a run failed, FewFinishedError where they left too few scans."""
    failed, share = failures(run), share_of(run)
    if not failed:
        return
    words = [*([str(share)] if share else []), failure_text(failed, run)]
    if share is not None and not share.enough:
        needed = f"at least {share.needed:.0%} are needed (min_success)"
        raise FewFinishedError(f"the run failed: {', '.join([words[0], needed])}; {words[1]}")
    raise CohortError("; ".join(words))


def report_run(run: Path) -> int:
    """Print where the report is and how many scans finished; raises what `judge` raises."""
    require_run(run)
    page, share = run / "report" / "index.html", share_of(run)
    sys.stdout.write(f"{page}\n" if page.is_file() else "no report yet; `voxfield run` makes it\n")
    judge(run)
    if share is not None:
        sys.stdout.write(f"{share}\n")
    return 0


def _needed(run: Path) -> float:
    from voxfield.runs.configuration import GENERAL
    from voxfield.settings_yaml import load_yaml

    saved = load_yaml(run / SETTINGS) if (run / SETTINGS).is_file() else {}
    return float(saved.get("min_success", GENERAL["min_success"]))
