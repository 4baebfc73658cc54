# A grader learns from a geometry-only cohort, then grades every subject from its angiogram and its branches.
# The rules over the cohort's rows declare a manifest only: a bad row never costs what the others have made.
GRADING = "grading/cohort.tsv"
GRADED = Batches(
    "grade",
    {subject: {"image": image_of(subject)} for subject in ROWS if HAS_GRADES},
    "sub-{subject}/grade.json",
    size=config["batch"],
    lost=lost_by("phantom", "convert", "segment", "repair", "centerline", "features", "grade"),
)


rule grading_cohort:
    output:
        cohort=GRADING,
    log:
        "logs/phantoms.cohort.log",
    params:
        **stages.params("phantoms.cohort", settings={"count": config["grading"]["cohort"]}),
    resources:
        **stages.resources("phantoms.cohort"),
    threads: stages.threads("phantoms.cohort")
    shell:
        stages.shell("phantoms.cohort", "", "cohort", subject="")


rule render_cohort:
    input:
        cohort=GRADING,
    output:
        manifest="batches/render_cohort.tsv",
    log:
        "logs/phantoms.geometry.log",
    params:
        **stages.params("phantoms.geometry"),
    resources:
        **stages.resources("phantoms.geometry"),
    threads: stages.threads("phantoms.geometry")
    shell:
        stages.shell(
            "phantoms.geometry",
            "",
            "",
            subject="",
            more="--each {input.cohort:q} --manifest {output.manifest:q} --set 'anatomy_seed={{anatomy_seed}}' "
            "--out-image 'grading/images/{{subject}}.nii.gz' --out-branches 'grading/branches/{{subject}}.tsv'",
        )


rule cohort_features:
    input:
        cohort=GRADING,
        rendered="batches/render_cohort.tsv",
    output:
        manifest="batches/cohort_features.tsv",
    log:
        "logs/grading.features.log",
    params:
        **stages.params("grading.features"),
    resources:
        **stages.resources("grading.features"),
    threads: stages.threads("grading.features")
    shell:
        stages.shell(
            "grading.features",
            "",
            "",
            subject="",
            more="--each {input.cohort:q} --manifest {output.manifest:q} "
            "--branches 'grading/branches/{{subject}}.tsv' --out-features 'grading/features/{{subject}}.tsv'",
        )


rule train_grading:
    input:
        cohort=GRADING,
        rendered="batches/render_cohort.tsv",
        features="batches/cohort_features.tsv",
    output:
        model="models/grading.safetensors",
        metrics="models/grading_training.json",
    log:
        "logs/grading.train.log",
    params:
        **stages.params("grading.train"),
    resources:
        **stages.resources("grading.train"),
    threads: stages.threads("grading.train")
    shell:
        stages.shell(
            "grading.train",
            "cohort",
            "model metrics",
            subject="",
            more="--images '@{input.cohort}:images/{{subject}}.nii.gz' "
            "--features '@{input.cohort}:features/{{subject}}.tsv'",
        )


rule grade:
    input:
        images=lambda wildcards: [image_of(subject) for subject in GRADED.members(wildcards.batch)],
        features=lambda wildcards: TREES.manifests(GRADED.members(wildcards.batch)),
        model="models/grading.safetensors",
    output:
        manifest="batches/grade/{batch}.done.tsv",
    log:
        "logs/batches/grade.{batch}.log",
    params:
        **stages.params("grading.predict"),
    resources:
        **stages.resources("grading.predict", rows=config["batch"]),
    threads: stages.threads("grading.predict")
    shell:
        stages.each(
            "grading.predict",
            "model",
            {
                "image": "{image}",
                "features": "sub-{subject}/features.tsv",
                "out-grade": "sub-{subject}/grade.json",
            },
        )
