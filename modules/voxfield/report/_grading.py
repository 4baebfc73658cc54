"""The stage `report.grading`: how well a grader grades, how it was made, and what may be concluded."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from voxfield.artifacts import Cohort, Image, Metrics, Picture, Report
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.report._graded import Graded

CONTENTS = (
    ("scores", "Scores"), ("calibration", "Calibration"), ("sets", "Sets of grades"), ("methods", "Methods"),
    ("cases", "Cases"), ("parts", "Who was held out"), ("limits", "What may be concluded"), ("findings", "Findings"),
    ("making", "How this was made"),
)  # fmt: skip
TOLD = ("algorithm", "loss", "rows", "temperature", "conformal", "val", "test")  # of the metrics of a training
COARSE = 128  # pixels along an edge below which osteophytes can't be read
EXTERNAL = (
    "There is no external cohort: the test patients come from the same source as those who trained. "
    "How the grader does at another site, with other machines and other readers, is not known."
)
EXCHANGEABLE = (
    "The coverage of the sets holds for patients exchangeable with those who calibrated, not for another site."
)
ELSEWHERE = (
    "The test patients come from elsewhere than those who trained: {}. The coverage of the sets is promised for "
    "patients exchangeable with those who calibrated; on these it is measured. How the grader does at a third site is "
    "not known."
)


class GradingPage(NamedTuple):
    """What `report.grading` makes: the page with its pictures, and what it says for programs."""

    page: Report
    card: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=10), version=1)
def grading(
    cohort: Cohort,
    predictions: Sequence[Metrics],
    scores: Metrics,
    splits: Metrics | None = None,
    trainings: Sequence[Metrics] | None = None,
    choice: Metrics | None = None,
    comparison: Metrics | None = None,
    images: Sequence[Image] | None = None,
    explained: Cohort | None = None,
    overlays: Sequence[Picture] | None = None,
    *,
    title: str = "Grades",
    claim: str = "",
    external: str = "",
    methods: tuple[str, ...] = (),
    failures: tuple[tuple[str, str, str, str], ...] = (),
    run_folder: str = "",
    ctx: Context = Context(),
) -> GradingPage:
    """One page about a trained grader and its test patients, and the same as a report card.

    cohort       the graded test rows, such as `test` of `grading.split`
    predictions  of `grading.predict`, one for each row
    scores       of `grading.evaluate` for the same rows
    splits       of `grading.split`: who was held out
    trainings    of `grading.train`, every one that was tried; the first is taken for the model where there is no choice
    choice       of `grading.choose`
    comparison   of `grading.compare`, of the same trainings
    images       one for each row, for the examples; planes are shown as they are looked at
    explained    rows of `cohort` that were explained, such as `farthest` of `grading.evaluate`
    overlays     of `grading.explain`, one for each of them

    Settings
    title: heading of the page
    claim: what is said about where the data come from
    external: where the test patients come from, if that is another source than that of those who trained; the page
        then says so, where it else says that there is no external cohort
    methods: the method of each training; runs of one name differ in their seed
    failures: what did not finish: subject, stage, reason and log of each
    run_folder: the way from the page to its run folder, such as ".."; the page links the files of the run through it

    Raises InputError where predictions, images and rows do not belong together.
    """
    from voxfield.report._graded import Graded

    del ctx  # nothing here is random
    runs = list(trainings or ())
    names = methods or tuple(str(training.values.get("algorithm", "trained")) for training in runs)
    if len(names) != len(runs):
        raise SettingsError(f"report.grading: {len(names)} methods for {len(runs)} trainings; expected one for each")
    if images and len(images) != len(cohort):
        raise InputError(f"{len(images)} images for {len(cohort)} rows of the cohort; expected one for each")
    cases = Graded.of(cohort, predictions)
    explanations = _explanations(explained, overlays)
    named = [
        ("test cohort", cohort), ("scores", scores), ("splits", splits), ("choice", choice),
        ("comparison", comparison),
        *((f"training {name}", run) for name, run in zip(names, runs, strict=True)), ("prediction", predictions[0]),
    ]  # fmt: skip
    made = _Parts(cases, scores, splits, runs, names, choice, comparison, images, predictions, explanations)
    limits = _limits(made, external)
    return _pages(made, [(name, a) for name, a in named if a is not None], title, claim, limits, failures, run_folder)


class _Parts(NamedTuple):
    """The inputs of the stage."""

    cases: "Graded"
    scores: Metrics
    splits: Metrics | None
    trainings: Sequence[Metrics]
    names: Sequence[str]
    choice: Metrics | None
    comparison: Metrics | None
    images: Sequence[Image] | None
    predictions: Sequence[Metrics]
    explanations: Mapping[str, Picture]


def _explanations(explained: Cohort | None, overlays: Sequence[Picture] | None) -> dict[str, Picture]:
    """Overlays by subject."""
    subjects = [] if explained is None else [str(subject) for subject in explained.column("subject")]
    if len(subjects) != len(overlays or ()):
        raise InputError(f"{len(overlays or ())} overlays for {len(subjects)} explained rows; expected one for each")
    return dict(zip(subjects, overlays or (), strict=True))


def _pages(
    own: _Parts, named: Sequence[tuple[str, Any]], title: str, claim: str, limits: Sequence[str],
    failures: Sequence[Sequence[str]], run_folder: str,
) -> GradingPage:  # fmt: skip
    from voxfield.report._facts import other_tables
    from voxfield.report._layout import DATA, PAGE
    from voxfield.report._origins import all_findings, linked_files, packages, stage_facts
    from voxfield.report._page import run_tiles
    from voxfield.report._site import data, render

    stages, findings = stage_facts(named), all_findings(named[:-1])  # the findings of one prediction say little
    sections, assets = _sections(own)
    html = render(
        "grading.html.j2", title=title, claim=claim, tiles=[*_tiles(own.scores.values), *run_tiles(findings, stages)],
        contents=CONTENTS, findings=findings, stages=stages, versions=packages(stages), limits=limits,
        results=other_tables(own.trainings), absent={"findings": [_failure(entry) for entry in failures]},
        **linked_files(named, run_folder), **sections,
    )  # fmt: skip
    card = {
        "schema": 1, "title": title, "claim": claim, "scores": own.scores.values, "limits": limits,
        "parts": sections["parts_table"], "trainings": _trained(own),
        "comparison": None if own.comparison is None else own.comparison.values, "worst": sections["worst"],
        "findings": findings, "stages": stages, "not_finished": [list(entry) for entry in failures],
    }  # fmt: skip
    return GradingPage(Report({PAGE: html, DATA: data(card), **assets}), Metrics(card))


def _sections(own: _Parts) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the template draws, and the pictures behind it."""
    from voxfield.report import _graded_tables as tables
    from voxfield.report._graded import rgb_png
    from voxfield.report._graded_charts import learning_curve, reliability

    cases, sets = own.cases, own.scores.values.get("sets", {})
    examples, worst = cases.examples(), cases.worst()
    assets = _pictures(own.images, {*worst, *(row for rows in examples.values() for row in rows)})
    tinted = {subject: f"assets/explained-{subject}.png" for subject in own.explanations}
    assets |= {tinted[subject]: rgb_png(overlay) for subject, overlay in own.explanations.items()}

    def shown(row: int) -> dict[str, Any]:
        picture = f"assets/case-{row}.png" if own.images else ""
        return {**cases.shown(row), "picture": picture, "overlay": tinted.get(cases.subjects[row], "")}

    points = tables.curve_points(own.trainings)
    return {
        "scores": tables.score_rows(own.scores.values),
        "patients": own.scores.values.get("patients"),
        "confusion": tables.confusion(cases),
        "reliability": reliability(cases),
        "coverage": tables.set_rows(sets),
        "sizes": tables.size_rows(cases),
        "set_words": _set_words(own),
        "methods": tables.method_rows(own.trainings, own.names, own.choice),
        "differences": tables.difference_rows(own.comparison),
        "compared": "" if own.comparison is None else own.comparison.values.get("score", "").replace("_", " "),
        "curve": learning_curve(points) if points else "",
        "examples": {grade: [shown(row) for row in rows] for grade, rows in examples.items()},
        "worst": [shown(row) for row in worst],
        "explained": bool(tinted),
        "parts_table": tables.part_rows(own.splits, own.trainings),
        "excluded": [] if own.splits is None else own.splits.values.get("excluded", []),
    }, assets


def _trained(own: _Parts) -> list[dict[str, Any]]:
    """What was tried, with the figures that the trainings themselves give."""
    chosen = None if own.choice is None else own.choice.values.get("run")
    return [
        {"method": name, "chosen": chosen in (None, n), **{key: run.values.get(key) for key in TOLD}}
        for n, (name, run) in enumerate(zip(own.names, own.trainings, strict=True))
    ]


def _pictures(images: Sequence[Image] | None, rows: set[int]) -> dict[str, bytes]:
    from voxfield.report._graded import picture
    from voxfield.report._raster import png

    return {f"assets/case-{row}.png": png(picture(images[row])) for row in sorted(rows)} if images else {}


def _set_words(own: _Parts) -> list[str]:
    """What is promised of the sets, what chance makes of it, and for how many cases it is withheld."""
    from voxfield.report._graded_tables import interval_text, value_of
    from voxfield.report._numbers import fixed, percent

    known = [one.values for one in own.predictions]
    sets, count = own.scores.values.get("sets", {}), known[0].get("calibration_patients")
    said = [f"Stated coverage {percent(known[0].get('coverage'), 0)}: {sets.get('meaning', 'no meaning was given')}."]
    for span, where in (
        (known[0].get("coverage_range_5_95"), "in the long run"),
        (sets.get("test_coverage_range_5_95"), "on as many test patients as here"),
    ):
        if span:
            ends = f"{fixed(span[0])} to {fixed(span[1])}"
            said.append(f"One draw of {count} calibration patients gives {ends} {where} (5 to 95 %).")
    withheld = sum(not values.get("certified") for values in known)
    strange = sum(bool(values.get("unlike_training")) for values in known)
    said.append(
        f"Withheld for {withheld} of {len(known)} cases, {strange} of which are unlike the training images."
        if withheld
        else "Withheld for no case."
    )
    left = own.scores.values.get("abstained")
    if left is not None:
        share = f"{percent(value_of(left))} of the cases ({interval_text(left)})"
        said.append(f"The grader leaves {share} to a person, because the set is too wide or the image strange.")
    return said


def _limits(own: _Parts, external: str) -> list[str]:
    """What the figures do not say."""
    said = [ELSEWHERE.format(external)] if external else [EXTERNAL, EXCHANGEABLE]
    edges = sorted({max(image.shape) for image in own.images or ()})
    if edges and edges[0] < COARSE:
        said.append(
            f"Images of {edges[0]} pixels show the width of the joint space and how the bones stand to each other. "
            "Osteophytes and the texture of sclerosis, by which a reader grades, can't be read at that size: the "
            "figures compare methods, they do not say how well knees can be graded."
        )
    return said


def _failure(entry: Sequence[str]) -> str:
    from voxfield.report._page import not_finished

    subject, stage_name, reason, log = entry
    return f"{subject}: {not_finished(stage_name, reason, log)}"


def _tiles(scores: Mapping[str, Any]) -> list[dict[str, str]]:
    from voxfield.report._graded_tables import interval_text, value_of
    from voxfield.report._numbers import fixed, percent
    from voxfield.report._page import tile

    shown = (
        ("balanced_accuracy", "balanced accuracy"),
        ("quadratic_kappa", "quadratic kappa"),
        ("auc_grade_2_or_more", "AUC, grade 2 or more"),
    )
    made = [tile(what, fixed(value_of(scores.get(key)), 3), interval_text(scores.get(key), 2)) for key, what in shown]
    sets = scores.get("sets", {})
    size = fixed(value_of(sets.get("mean_size")), 2)
    return [*made, tile("coverage of sets", percent(value_of(sets.get("coverage"))), f"{size} grades on average")]
