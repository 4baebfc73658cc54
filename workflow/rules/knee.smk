# Graded radiographs, of phantoms or of a table (OWN, TABLE), to a trained, calibrated and judged grader. The pipeline
# says what is trained: RUNS, pairs of a method of METHODS and a seed.
from voxfield.report import jobs

SOURCE = TABLE or "phantoms/cohort.tsv"
UNREADABLE = sorted({subject for subject, rule in FAILED if rule == "convert_images"})
IMAGES = Batches(
    "convert_images",
    {
        name: {"image": row["image"], "mirrored": str(MIRROR and row["side"] == "right").lower()}
        for name, row in OWN.items()
    },
    "images/{subject}.nii.gz",
    size=config["batch"],
    lost=UNREADABLE,
)
READABLE = [subject for subject in OWN if subject not in UNREADABLE]
if READABLE:
    write_table(Path("batches/images.tsv"), [{"subject": subject} for subject in READABLE])
LISTED = "batches/images.tsv" if TABLE else SOURCE
MODEL = "chosen" if len(RUNS) > 1 else "{}-{}".format(*RUNS[0])
# The scans that are graded worst, and what in them made their grades.
FARTHEST = f"scores/{MODEL}.farthest.tsv"
OVERLAYS = f"@{FARTHEST}:../explanations/{MODEL}/{{subject}}.png"
SHARED = ("network", "network_options", "channels", "cells", "licence")  # settings of a training and of its start
COMPARED = len({method for method, _ in RUNS}) > 1


def of_runs(pattern):
    """A file of every training."""
    return [pattern.format(f"{method}-{seed}") for method, seed in RUNS]


rule knee_cohort:
    output:
        cohort="phantoms/cohort.tsv",
    log:
        "logs/phantoms.knees.log",
    params:
        **stages.params("phantoms.knees", settings={"patients": config["phantoms"]["patients"]}),
    resources:
        **stages.resources("phantoms.knees"),
    threads: stages.threads("phantoms.knees")
    shell:
        stages.shell("phantoms.knees", "", "cohort", subject="")


rule render_knees:
    input:
        cohort="phantoms/cohort.tsv",
    output:
        manifest="batches/render_knees.tsv",
    log:
        "logs/phantoms.knee.log",
    params:
        **stages.params("phantoms.knee"),
        side="left" if MIRROR else "{side}",
    resources:
        **stages.resources("phantoms.knee"),
    threads: stages.threads("phantoms.knee")
    shell:
        stages.shell(
            "phantoms.knee",
            "",
            "",
            subject="",
            more="--each {input.cohort:q} --manifest {output.manifest:q} --set 'knee_seed={{knee_seed}}' "
            "--set 'severity={{truth_severity}}' --set 'side={params.side}' --out-image 'images/{{subject}}.nii.gz'",
        )


rule convert_images:
    input:
        images=lambda wildcards: [OWN[subject]["image"] for subject in IMAGES.members(wildcards.batch)],
    output:
        manifest="batches/convert_images/{batch}.done.tsv",
    log:
        "logs/batches/convert_images.{batch}.log",
    params:
        **stages.params("io.convert"),
    resources:
        **stages.resources("io.convert"),
    threads: stages.threads("io.convert")
    shell:
        stages.each(
            "io.convert",
            "",
            {"source": "{image}", "set": "mirrored={mirrored}", "out-image": "images/{subject}.nii.gz"},
        )


rule split_patients:
    input:
        table=SOURCE,
        images=sorted({IMAGES.manifest(subject) for subject in READABLE}) if TABLE else "batches/render_knees.tsv",
    output:
        cohort="cohort.tsv",
        test="test.tsv",
        metrics="split.json",
    log:
        "logs/grading.split.log",
    params:
        **stages.params("grading.split", settings={"excluded": UNREADABLE}),
    resources:
        **stages.resources("grading.split"),
    threads: stages.threads("grading.split")
    shell:
        stages.shell(
            "grading.split",
            "table",
            "cohort test metrics",
            subject="",
            more=f"--images '@{LISTED}:../images/{{{{subject}}}}.nii.gz'",
        )


rule pretrain_grader:
    input:
        cohort="cohort.tsv",
    output:
        model="models/pretrained.safetensors",
        metrics="models/pretrained.json",
    log:
        "logs/grading.pretrain.log",
    params:
        **stages.params(
            "grading.pretrain",
            settings={n: v for n, v in stages.settings["grading.train"].items() if n in SHARED},
        ),
    resources:
        **stages.resources("grading.pretrain"),
    threads: stages.threads("grading.pretrain")
    shell:
        stages.shell(
            "grading.pretrain",
            "cohort",
            "model metrics",
            subject="",
            more="--images '@{input.cohort}:images/{{subject}}.nii.gz'",
        )


rule train_grader:
    input:
        cohort="cohort.tsv",
        start="models/pretrained.safetensors" if config["pretrain"] else [],
    output:
        model="models/{method}-{seed}.safetensors",
        metrics="models/{method}-{seed}.json",
    log:
        "logs/grading.train.{method}-{seed}.log",
    params:
        **{
            **stages.params("grading.train"),
            "settings": lambda wildcards: stages.flags(
                {**stages.settings["grading.train"], **METHODS[wildcards.method]}
            ),
            # Methods share the seed of a repetition, so that they share its labels.
            "seed": lambda wildcards: str(stages.seed_of("grading.train", wildcards.seed)),
        },
        start=lambda wildcards, input: input_flags({"from": input.start}),
    resources:
        **stages.resources("grading.train"),
    threads: stages.threads("grading.train")
    shell:
        stages.shell(
            "grading.train",
            "cohort",
            "model metrics",
            subject="{wildcards.method}-{wildcards.seed}",
            more="--images '@{input.cohort}:images/{{subject}}.nii.gz' {params.start}",
        )


rule choose_grader:
    input:
        models=of_runs("models/{}.safetensors"),
        trainings=of_runs("models/{}.json"),
    output:
        model="models/chosen.safetensors",
        metrics="models/chosen.json",
    log:
        "logs/grading.choose.log",
    params:
        **stages.params("grading.choose", settings={"names": [method for method, _ in RUNS]}),
    resources:
        **stages.resources("grading.choose"),
    threads: stages.threads("grading.choose")
    shell:
        stages.shell("grading.choose", "models trainings", "model metrics", subject="")


rule grade_test:
    input:
        test="test.tsv",
        model="models/{model}.safetensors",
    output:
        manifest="batches/grade_test/{model}.tsv",
    log:
        "logs/grading.predict.{model}.log",
    params:
        **stages.params("grading.predict"),
    resources:
        **stages.resources("grading.predict"),
    threads: stages.threads("grading.predict")
    shell:
        stages.shell(
            "grading.predict",
            "model",
            "",
            subject="{wildcards.model}",
            more="--each {input.test:q} --manifest {output.manifest:q} --image 'images/{{subject}}.nii.gz' "
            "--out-grade 'predictions/{wildcards.model}/{{subject}}.json'",
        )


rule evaluate_grades:
    input:
        cohort="test.tsv",
        graded="batches/grade_test/{model}.tsv",
    output:
        metrics="scores/{model}.json",
        rows="scores/{model}.tsv",
        farthest="scores/{model}.farthest.tsv",
    log:
        "logs/grading.evaluate.{model}.log",
    params:
        **stages.params("grading.evaluate", settings={"farthest_scans": max(config["explain"], 1)}),
    resources:
        **stages.resources("grading.evaluate"),
    threads: stages.threads("grading.evaluate")
    shell:
        stages.shell(
            "grading.evaluate",
            "cohort",
            "metrics rows farthest",
            subject="{wildcards.model}",
            more="--predictions '@{input.cohort}:predictions/{wildcards.model}/{{subject}}.json'",
        )


rule explain_farthest:
    input:
        farthest="scores/{model}.farthest.tsv",
        model="models/{model}.safetensors",
    output:
        manifest="batches/explain_farthest/{model}.tsv",
    log:
        "logs/grading.explain.{model}.log",
    params:
        **stages.params("grading.explain"),
    resources:
        **stages.resources("grading.explain"),
    threads: stages.threads("grading.explain")
    shell:
        stages.shell(
            "grading.explain",
            "model",
            "",
            subject="{wildcards.model}",
            more="--each {input.farthest:q} --manifest {output.manifest:q} --image 'images/{{subject}}.nii.gz' "
            "--out-saliency 'explanations/{wildcards.model}/{{subject}}-saliency.nii.gz' "
            "--out-overlay 'explanations/{wildcards.model}/{{subject}}.png' "
            "--out-explanation 'explanations/{wildcards.model}/{{subject}}.json'",
        )


rule compare_methods:
    input:
        predictions=of_runs("scores/{}.tsv"),
    output:
        metrics="comparison.json",
    log:
        "logs/grading.compare.log",
    params:
        **stages.params("grading.compare", settings={"methods": [method for method, _ in RUNS]}),
    resources:
        **stages.resources("grading.compare"),
    threads: stages.threads("grading.compare")
    shell:
        stages.shell("grading.compare", "predictions", "metrics", subject="")


rule grading_page:
    input:
        cohort="test.tsv",
        graded=f"batches/grade_test/{MODEL}.tsv",
        scores=f"scores/{MODEL}.json",
        splits="split.json",
        trainings=of_runs("models/{}.json"),
        choice="models/chosen.json" if len(RUNS) > 1 else [],
        comparison="comparison.json" if COMPARED else [],
        farthest=FARTHEST if config["explain"] else [],
        explained=f"batches/explain_farthest/{MODEL}.tsv" if config["explain"] else [],
    output:
        index="report/index.html",
        card="report_card.json",
    log:
        "logs/report.grading.log",
    params:
        **stages.params(
            "report.grading",
            settings={
                "title": config["title"],
                "claim": config["claim"],
                "methods": [method for method, _ in RUNS],
                "failures": [entry for entry in jobs.failed() if entry[1] != "report.grading"],
                "run_folder": "..",
            },
        ),
        among=lambda wildcards, input: input_flags(
            {
                "choice": input.choice,
                "comparison": input.comparison,
                "explained": input.farthest,
                "overlays": [OVERLAYS] if input.farthest else [],
            }
        ),
    resources:
        **stages.resources("report.grading"),
    threads: stages.threads("report.grading")
    shell:
        stages.shell(
            "report.grading",
            "cohort scores splits trainings",
            "card",
            subject="",
            more="--images '@{input.cohort}:images/{{subject}}.nii.gz' "
            f"--predictions '@{{input.cohort}}:predictions/{MODEL}/{{{{subject}}}}.json' "
            "{params.among} --out-page report",
        )
