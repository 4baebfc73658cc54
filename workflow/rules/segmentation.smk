# Angiogram -> probability -> one tree -> branches and openings. The pipeline says where images and masks lie:
# image_of(wildcards), annotation_of(wildcards), TRAINING (the annotated subjects).


rule training_cohort:
    output:
        cohort="models/training.tsv",
    log:
        "logs/io.cohort.log",
    params:
        **stages.params("io.cohort", settings={"subjects": TRAINING, "annotation": "sparse"}),
    shell:
        stages.shell("io.cohort", "", "cohort", subject="")


rule train_segmentation:
    input:
        cohort="models/training.tsv",
        images=[image_of(subject) for subject in TRAINING],
        masks=[annotation_of(subject) for subject in TRAINING],
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
        stages.shell("segmentation.train", "cohort images masks", "model metrics", subject="")


rule segment:
    input:
        image=lambda wildcards: image_of(wildcards.subject),
        model=segmentation_model,
    output:
        probability="sub-{subject}/probability.nii.gz",
        mask="sub-{subject}/segmentation.nii.gz",
    log:
        "logs/sub-{subject}/segmentation.predict.log",
    params:
        **stages.params("segmentation.predict"),
    resources:
        **stages.resources("segmentation.predict"),
    shell:
        stages.shell("segmentation.predict", "image model", "probability mask")


rule repair:
    input:
        probability="sub-{subject}/probability.nii.gz",
        segmentation="sub-{subject}/segmentation.nii.gz",
    output:
        repaired="sub-{subject}/lumen.nii.gz",
        bridges="sub-{subject}/bridges.tsv",
    log:
        "logs/sub-{subject}/segmentation.repair.log",
    params:
        **stages.params("segmentation.repair"),
    resources:
        **stages.resources("segmentation.repair"),
    shell:
        stages.shell("segmentation.repair", "probability segmentation", "repaired bridges")


rule centerline:
    input:
        mask="sub-{subject}/lumen.nii.gz",
    output:
        centerline="sub-{subject}/centerline.swc",
        polyline="sub-{subject}/centerline.vtp",
        branches="sub-{subject}/branches.tsv",
        openings="sub-{subject}/openings.nii.gz",
    log:
        "logs/sub-{subject}/segmentation.centerline.log",
    params:
        **stages.params("segmentation.centerline"),
    resources:
        **stages.resources("segmentation.centerline"),
    shell:
        stages.shell("segmentation.centerline", "mask", "centerline polyline branches openings")


rule evaluate_segmentation:
    input:
        prediction="sub-{subject}/lumen.nii.gz",
        reference=lambda wildcards: reference_of(wildcards.subject),
    output:
        metrics="sub-{subject}/segmentation_metrics.json",
    log:
        "logs/sub-{subject}/segmentation.evaluate.log",
    params:
        **stages.params("segmentation.evaluate"),
    resources:
        **stages.resources("segmentation.evaluate"),
    shell:
        stages.shell("segmentation.evaluate", "prediction reference", "metrics")
