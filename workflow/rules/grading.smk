# A grader learns from a geometry-only cohort, then grades every subject from its angiogram and its branches.
# The cohort's batch rules declare a manifest only: one bad row never costs the others.
GRADING = "grading/cohort.tsv"


rule grading_cohort:
    output:
        cohort=GRADING,
    log:
        "logs/phantoms.cohort.log",
    params:
        **stages.params("phantoms.cohort", settings={"count": config["grading"]["cohort"]}),
    resources:
        **stages.resources("phantoms.cohort"),
    shell:
        stages.shell("phantoms.cohort", "", "cohort", subject="")


rule render_cohort:
    input:
        cohort=GRADING,
    output:
        manifest="grading/rendered.tsv",
    log:
        "logs/phantoms.geometry.log",
    params:
        **stages.params("phantoms.geometry"),
    resources:
        **stages.resources("phantoms.geometry"),
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
        rendered="grading/rendered.tsv",
    output:
        manifest="grading/features.tsv",
    log:
        "logs/grading.features.log",
    params:
        **stages.params("grading.features"),
    resources:
        **stages.resources("grading.features"),
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
        rendered="grading/rendered.tsv",
        features="grading/features.tsv",
    output:
        model="models/grading.safetensors",
        metrics="models/grading_training.json",
    log:
        "logs/grading.train.log",
    params:
        **stages.params("grading.train"),
    resources:
        **stages.resources("grading.train"),
    shell:
        stages.shell(
            "grading.train",
            "cohort",
            "model metrics",
            subject="",
            more="--images '@{input.cohort}:images/{{subject}}.nii.gz' "
            "--features '@{input.cohort}:features/{{subject}}.tsv'",
        )


rule features:
    input:
        branches="sub-{subject}/branches.tsv",
    output:
        features="sub-{subject}/features.tsv",
    log:
        "logs/sub-{subject}/grading.features.log",
    params:
        **stages.params("grading.features"),
    resources:
        **stages.resources("grading.features"),
    shell:
        stages.shell("grading.features", "branches", "features")


rule grade:
    input:
        image=lambda wildcards: image_of(wildcards.subject),
        model="models/grading.safetensors",
        features="sub-{subject}/features.tsv",
    output:
        grade="sub-{subject}/grade.json",
    log:
        "logs/sub-{subject}/grading.predict.log",
    params:
        **stages.params("grading.predict"),
    resources:
        **stages.resources("grading.predict"),
    shell:
        stages.shell("grading.predict", "image model features", "grade")
