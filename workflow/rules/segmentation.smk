# Angiogram -> probability -> one tree -> branches and openings. The pipeline says where images and masks lie:
# image_of(subject), annotation_of(subject), lung_of(subject) (None where the network sees none), reference_of(subject),
# patient_of(subject), TRAINING (the annotated subjects), and which rules make them (MAKES_IMAGES). Prediction loads a
# network, which takes longer than to use it: scans go through it in batches.
from voxfield.batches import Batches

LUNGS = {subject: lung_of(subject) for subject in ROWS if lung_of(subject)}
SEGMENTED = Batches(
    "segment",
    {subject: {"image": image_of(subject), **({"lung": LUNGS[subject]} if LUNGS else {})} for subject in ROWS},
    "sub-{subject}/probability.nii.gz",
    size=config["batch"],
    lost=lost_by(*MAKES_IMAGES, "segment"),
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
            "segmentation.train", "cohort images masks" + (" lungs" if LUNGS else ""), "model metrics", subject=""
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


rule repair:
    input:
        segmented=lambda wildcards: SEGMENTED.manifest(wildcards.subject),
    output:
        repaired="sub-{subject}/lumen.nii.gz",
        bridges="sub-{subject}/bridges.tsv",
        removed="sub-{subject}/removed.tsv",
        refused="sub-{subject}/bridges_refused.tsv",
    group:
        "scan"
    log:
        "logs/sub-{subject}/segmentation.repair.log",
    params:
        **stages.params("segmentation.repair"),
    resources:
        **stages.resources("segmentation.repair"),
    threads: stages.threads("segmentation.repair")
    shell:
        stages.shell(
            "segmentation.repair",
            "",
            "repaired bridges removed refused",
            more="--probability sub-{wildcards.subject}/probability.nii.gz "
            "--segmentation sub-{wildcards.subject}/segmentation.nii.gz",
        )


rule centerline:
    input:
        mask="sub-{subject}/lumen.nii.gz",
    output:
        centerline="sub-{subject}/centerline.swc",
        polyline="sub-{subject}/centerline.vtp",
        branches="sub-{subject}/branches.tsv",
        openings="sub-{subject}/openings.nii.gz",
        loops="sub-{subject}/loops.tsv",
        graph="sub-{subject}/centerline.graphml",
    group:
        "scan"
    log:
        "logs/sub-{subject}/segmentation.centerline.log",
    params:
        **stages.params("segmentation.centerline"),
    resources:
        **stages.resources("segmentation.centerline"),
    threads: stages.threads("segmentation.centerline")
    shell:
        stages.shell("segmentation.centerline", "mask", "centerline polyline branches openings loops graph")


rule evaluate_segmentation:
    input:
        prediction="sub-{subject}/lumen.nii.gz",
        reference=lambda wildcards: reference_of(wildcards.subject),
    output:
        metrics="sub-{subject}/segmentation_metrics.json",
    group:
        "scan"
    log:
        "logs/sub-{subject}/segmentation.evaluate.log",
    params:
        **stages.params("segmentation.evaluate"),
    resources:
        **stages.resources("segmentation.evaluate"),
    threads: stages.threads("segmentation.evaluate")
    shell:
        stages.shell("segmentation.evaluate", "prediction reference", "metrics")


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
        evaluations=[f"sub-{subject}/segmentation_metrics.json" for subject in HELD_OUT],
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
        stages.shell("segmentation.summarise", "cohort evaluations", "table summary", subject="")
