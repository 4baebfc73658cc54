# Angiogram -> probability -> one tree -> branches and openings. The pipeline says where images and masks lie:
# image_of(subject), annotation_of(subject), lung_of(subject) (None where the network sees none), reference_of(subject),
# patient_of(subject), TRAINING (the annotated subjects), which rules make them (MAKES_IMAGES), and what is measured on the
# branches (BRANCH_STEPS). Prediction loads a network, which takes longer than to use it: scans go through it in batches.
# What follows is short: a job takes each scan of a batch through all of it.
from pathlib import Path

from voxfield.batches import Batches, from_table, write_table
from voxfield.chain import Chain, Step

LUNGS = {subject: lung_of(subject) for subject in ROWS if lung_of(subject)}
SEGMENTED = Batches(
    "segment",
    {subject: {"image": image_of(subject), **({"lung": LUNGS[subject]} if LUNGS else {})} for subject in ROWS},
    "sub-{subject}/probability.nii.gz",
    size=config["batch"],
    lost=lost_by(*MAKES_IMAGES, "segment"),
)


LUMEN = "sub-{subject}/lumen.nii.gz"
REFERENCES = {subject: reference_of(subject) for subject in ROWS if reference_of(subject)}
TREES = Chain(
    stages,
    "trees",
    [
        Step(
            "repair",
            "segmentation.repair",
            {
                "probability": "sub-{subject}/probability.nii.gz",
                "segmentation": "sub-{subject}/segmentation.nii.gz",
                "out-repaired": LUMEN,
                "out-bridges": "sub-{subject}/bridges.tsv",
                "out-removed": "sub-{subject}/removed.tsv",
                "out-refused": "sub-{subject}/bridges_refused.tsv",
            },
        ),
        Step(
            "centerline",
            "segmentation.centerline",
            {
                "mask": LUMEN,
                "out-centerline": "sub-{subject}/centerline.swc",
                "out-polyline": "sub-{subject}/centerline.vtp",
                "out-branches": "sub-{subject}/branches.tsv",
                "out-openings": "sub-{subject}/openings.nii.gz",
                "out-loops": "sub-{subject}/loops.tsv",
                "out-graph": "sub-{subject}/centerline.graphml",
            },
        ),
        *BRANCH_STEPS,
        Step(
            "evaluate_segmentation",
            "segmentation.evaluate",
            {
                "prediction": LUMEN,
                "reference": "{reference}",
                "out-metrics": "sub-{subject}/segmentation_metrics.json",
            },
        ),
    ],
    {subject: {"reference": REFERENCES.get(subject, "n/a")} for subject in ROWS},
    size=config["batch"],
    failed=FAILED,
    lost=lost_by(*MAKES_IMAGES, "segment", "repair", "centerline"),
)


def held_out():
    """Subjects with a reference whose patients trained nothing here: the summary speaks about these."""
    trained = {patient_of(subject) for subject in TRAINING}
    unmeasured = lost_by("evaluate_segmentation")
    return [
        subject
        for subject in SUBJECTS
        if reference_of(subject) and patient_of(subject) not in trained and subject not in unmeasured
    ]


HELD_OUT = held_out()


def cohort_of(subjects, **settings):
    """Settings of a table of some subjects."""
    return {"subjects": subjects, "patients": [patient_of(subject) for subject in subjects], **settings}


rule training_cohort:
    localrule: True
    output:
        cohort="models/training.tsv",
    log:
        "logs/io.cohort.log",
    params:
        **stages.params("io.cohort", settings=cohort_of(TRAINING, annotation="sparse")),
    resources:
        **stages.resources("io.cohort"),
    threads: stages.threads("io.cohort")
    shell:
        stages.shell("io.cohort", "", "cohort", subject="")


if TRAINING:  # as a table: a command of a thousand names is too long
    write_table(
        Path("batches/training.tsv"),
        [
            {
                "image": from_table(image_of(subject)),
                "mask": from_table(annotation_of(subject)),
                **({"lung": from_table(LUNGS[subject])} if LUNGS else {}),
            }
            for subject in TRAINING
        ],
    )


rule train_segmentation:
    input:
        cohort="models/training.tsv",
        images=[image_of(subject) for subject in TRAINING],
        masks=[annotation_of(subject) for subject in TRAINING],
        lungs=[LUNGS[subject] for subject in TRAINING] if LUNGS else [],
    output:
        model="models/segmentation.safetensors",
        metrics="models/segmentation_training.json",
    log:
        "logs/segmentation.train.log",
    params:
        **stages.params("segmentation.train"),
    resources:
        **stages.resources("segmentation.train"),
    threads: stages.threads("segmentation.train")
    shell:
        stages.shell(
            "segmentation.train",
            "cohort",
            "model metrics",
            subject="",
            more="--images @batches/training.tsv:image --masks @batches/training.tsv:mask"
            + (" --lungs @batches/training.tsv:lung" if LUNGS else ""),
        )


rule segment:
    input:
        images=lambda wildcards: [image_of(subject) for subject in SEGMENTED.members(wildcards.batch)],
        lungs=lambda wildcards: [LUNGS[subject] for subject in SEGMENTED.members(wildcards.batch) if LUNGS],
        model=segmentation_model,
    output:
        manifest="batches/segment/{batch}.done.tsv",
    log:
        "logs/batches/segment.{batch}.log",
    params:
        **stages.params("segmentation.predict"),
    resources:
        **stages.resources("segmentation.predict", rows=config["batch"]),
    threads: stages.threads("segmentation.predict")
    shell:
        stages.each(
            "segmentation.predict",
            "model",
            {
                "image": "{image}",
                **({"lung": "{lung}"} if LUNGS else {}),
                "out-probability": "sub-{subject}/probability.nii.gz",
                "out-mask": "sub-{subject}/segmentation.nii.gz",
            },
        )


rule trees:
    input:
        table=TREES.table,
        segmented=lambda wildcards: SEGMENTED.manifests(TREES.members(wildcards.batch)),
        references=lambda wildcards: [REFERENCES[s] for s in TREES.members(wildcards.batch) if s in REFERENCES],
    output:
        manifest=TREES.done,
    log:
        TREES.log,
    params:
        **TREES.params(),
    resources:
        **TREES.resources(),
    threads: TREES.threads()
    shell:
        TREES.shell()


rule held_out_cohort:
    localrule: True
    output:
        cohort="models/held_out.tsv",
    log:
        "logs/io.cohort.held_out.log",
    params:
        **stages.params("io.cohort", settings=cohort_of(HELD_OUT, annotation="dense")),
    resources:
        **stages.resources("io.cohort"),
    threads: stages.threads("io.cohort")
    shell:
        stages.shell("io.cohort", "", "cohort", subject="")


rule summarise_segmentation:
    input:
        cohort="models/held_out.tsv",
        evaluated=TREES.manifests(HELD_OUT),
    output:
        table="models/segmentation_held_out.tsv",
        summary="models/segmentation_held_out.json",
    log:
        "logs/segmentation.summarise.log",
    params:
        **stages.params("segmentation.summarise"),
    resources:
        **stages.resources("segmentation.summarise"),
    threads: stages.threads("segmentation.summarise")
    shell:
        stages.shell(
            "segmentation.summarise",
            "cohort",
            "table summary",
            subject="",
            more="--evaluations '@{input.cohort}:../sub-{{subject}}/segmentation_metrics.json'",
        )
