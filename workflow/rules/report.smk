# Everything about a subject -> its page. The stages are given folders, the rules declare the index.html in them, since
# Snakemake's directory() leaves a time stamp in a folder and a report holds only its pages. What a job refused to make is
# left out here, and the page says why.
from voxfield.report import jobs

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


def of(name, *rules):
    """An input of the page: a file of the subject, unless one of the jobs that lead to it failed."""
    return lambda wildcards: f"sub-{wildcards.subject}/{name}" if made(wildcards.subject, *rules) else []


def flow(name, *rules):
    """The same for a file that only subjects with a velocity have."""
    return lambda wildcards: of(name, *rules)(wildcards) if velocity_of(wildcards.subject) else []


def results_of(wildcards):
    """The metrics that a page shows."""
    names = {
        "reconstruction.json": [] if velocity_of(wildcards.subject) else None,
        "derived.json": ["derive"] if config.get("derived") and velocity_of(wildcards.subject) else None,
        "pressure_summary.json": ["pressure"] if velocity_of(wildcards.subject) else None,
        "truth.json": [] if HAS_TRUTH else None,
        "segmentation_metrics.json": ["evaluate_segmentation"] if reference_of(wildcards.subject) else None,
        "velocity_metrics.json": ["evaluate_velocity"] if HAS_TRUE_VELOCITY else None,
        "pressure_metrics.json": ["pressure", "evaluate_pressure"] if HAS_TRUTH else None,
    }
    subject = wildcards.subject
    return [f"sub-{subject}/{name}" for name, rules in names.items() if rules is not None and made(subject, *rules)]


def about(wildcards):
    """Settings of a page that differ between subjects."""
    own = [entry[1:] for entry in NOT_FINISHED if entry[0] == wildcards.subject]
    return jobs.settings({"subject": wildcards.subject, "failures": own})


def shown(wildcards, input):
    """What the page is given: the rule's inputs, and in place of a batch's manifest what it made of the subject."""
    made_by = {"probability": "probability.nii.gz", "grade": "grade.json"}
    return {
        flag: f"sub-{wildcards.subject}/{made_by[flag]}" if flag in made_by and path else path
        for flag, path in dict(input.items()).items()
    }


rule subject_page:
    input:
        image=lambda wildcards: image_of(wildcards.subject),
        mask="sub-{subject}/lumen.nii.gz",
        probability=lambda wildcards: SEGMENTED.manifest(wildcards.subject),
        centerline="sub-{subject}/centerline.swc",
        branches="sub-{subject}/branches.tsv",
        bridges="sub-{subject}/bridges.tsv",
        stenoses=lambda wildcards: of("stenoses.tsv", "stenosis")(wildcards) if HAS_STENOSES else [],
        openings="sub-{subject}/openings.nii.gz",
        velocity=flow("velocity.nii.gz"),
        velocity_sd=flow("velocity_sd.nii.gz"),
        pressure=flow("pressure.nii.gz", "pressure"),
        pressure_sd=flow("pressure_sd.nii.gz", "pressure"),
        drops=flow("drops.tsv", "pressure"),
        grade=lambda wildcards: GRADED.manifest(wildcards.subject) if graded(wildcards.subject) else [],
        metrics=results_of,
    output:
        index="sub-{subject}/page/index.html",
    group:
        "page"
    log:
        "logs/sub-{subject}/report.subject.log",
    params:
        **stages.params("report.subject", settings={"claim": config["claim"], "run_folder": "../.."}),
        inputs=lambda wildcards, input: input_flags(shown(wildcards, input)),
        about=about,
        look=jobs.look(),
    resources:
        **stages.resources("report.subject"),
    threads: stages.threads("report.subject")
    shell:
        stages.shell(
            "report.subject",
            "",
            "",
            more="{params.about} {params.inputs} --out-page sub-{wildcards.subject}/page",
        )


TRAINED = [] if config["model"] else TRAINING
PAGES = [f"sub-{subject}/page" for subject in SUBJECTS if made("cohort", "train_segmentation")]


include: "index.smk"
