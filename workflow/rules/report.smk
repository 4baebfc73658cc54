# Everything about a subject -> its page. What a job refused to make is left out here, and the page says why.
import shlex

from voxfield.chain import Chain, Step
from voxfield.report import jobs
from voxfield.runs import keep
from voxfield.workflow import PYTHON, input_flags

NOT_FINISHED = jobs.failed()
GRADES = HAS_GRADES and not FAILED & {
    ("cohort", rule) for rule in ("grading_cohort", "render_cohort", "cohort_features", "train_grading")
}
HAS_STENOSES = "segmentation.stenosis" in config["stages"]
MODELS = [
    *(["models/segmentation_training.json"] if config["model"] is None else []),
    *(["models/segmentation_held_out.json"] if HELD_OUT else []),
    *(["models/grading_training.json"] if GRADES else []),
]


def made(subject, *rules):
    """Whether none of these jobs of a subject has failed."""
    return not FAILED & {(subject, rule) for rule in rules}


def graded(subject):
    """Whether there is, or will be, a grade of a subject."""
    return GRADES and made(subject, "features", "grade")


def shown(subject):
    """What the page of a subject is given: what it has, but for what a job of it failed to make."""
    flow = bool(velocity_of(subject))
    pressed = flow and made(subject, "pressure")
    files = {
        "mask": True,
        "probability": True,
        "centerline": True,
        "branches": True,
        "bridges": True,
        "stenoses": HAS_STENOSES and made(subject, "stenosis"),
        "openings": True,
        "velocity": flow,
        "velocity_sd": flow,
        "pressure": pressed,
        "pressure_sd": pressed,
        "drops": pressed,
        "grade": graded(subject),
    }
    paths = {flag: f"sub-{subject}/{SHOWN.get(flag, f'{flag}.nii.gz')}" for flag, there in files.items() if there}
    return {"image": image_of(subject), **paths, "metrics": results_of(subject)}


def results_of(subject):
    """The metrics that a page shows."""
    flow = bool(velocity_of(subject))
    names = {
        "reconstruction.json": flow,
        "derived.json": flow and config.get("derived") and made(subject, "derive"),
        "pressure_summary.json": flow and made(subject, "pressure"),
        "truth.json": HAS_TRUTH,
        "segmentation_metrics.json": reference_of(subject) and made(subject, "evaluate_segmentation"),
        "velocity_metrics.json": HAS_TRUE_VELOCITY and made(subject, "evaluate_velocity"),
        "pressure_metrics.json": HAS_TRUTH and made(subject, "pressure", "evaluate_pressure"),
    }
    return [f"sub-{subject}/{name}" for name, there in names.items() if there]


def words_of(subject):
    """What a page is told beyond what all pages are, as words of its command."""
    about = jobs.settings({"subject": subject, "failures": FAILURES_OF.get(subject, [])})
    return f"{about} {input_flags(shown(subject))}"


def needs_of(subject):
    """What has to be done before the page of a subject."""
    flow = [FLOW.manifest(subject)] if velocity_of(subject) else []
    grade = [GRADED.manifest(subject)] if graded(subject) else []
    return [image_of(subject), TREES.manifest(subject), *flow, *grade]


SHOWN = {
    "mask": "lumen.nii.gz",
    "centerline": "centerline.swc",
    "branches": "branches.tsv",
    "bridges": "bridges.tsv",
    "stenoses": "stenoses.tsv",
    "drops": "drops.tsv",
    "grade": "grade.json",
}
FAILURES_OF = {}
for about_subject, *told in NOT_FINISHED:
    FAILURES_OF.setdefault(about_subject, []).append(told)
# Nothing about a scan comes after its page: what is not kept goes then.
LET_GO = keep.words_of(config["keep"], config["intermediate"])
PAGED = Chain(
    stages,
    "pages",
    [
        Step(
            "subject_page",
            "report.subject",
            {"out-page": "sub-{subject}/page"},
            {"claim": config["claim"], "run_folder": "../.."},
            more="words",
        ),
    ],
    {subject: {"words": words_of(subject)} for subject in SUBJECTS if made("cohort", "train_segmentation")},
    size=config["batch"],
    failed=FAILED,
)


rule pages:
    input:
        table=PAGED.table,
        made=lambda wildcards: sorted({file for s in PAGED.members(wildcards.batch) for file in needs_of(s)}),
    output:
        manifest=PAGED.done,
    log:
        PAGED.log,
    params:
        **PAGED.params(),
        let_go=shlex.join(LET_GO),
    resources:
        **PAGED.resources(),
    threads: PAGED.threads()
    shell:
        PAGED.shell() + keep.line(LET_GO)


TRAINED = [] if config["model"] else TRAINING
PAGES = [f"sub-{subject}/page" for subject in SUBJECTS if made("cohort", "train_segmentation")]
PAGES_MADE = PAGED.manifests(SUBJECTS) if PAGES else []


include: "index.smk"
