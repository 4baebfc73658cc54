# Observations on a surface -> domain -> posterior field -> singularities -> page. The pipeline says where files lie:
# observed_of(subject), and mesh_of, points_of, truth_of(subject), None where there is none; phantoms make all of them.
from voxfield.report import jobs

NOT_FINISHED = jobs.failed()


def made(subject, rule):
    """Whether this job of a subject has not failed."""
    return (subject, rule) not in FAILED


def judged_of(subject):
    """What is known of a subject against its truth."""
    if truth_of(subject) and made(subject, "evaluate_points"):
        return [f"sub-{subject}/field_metrics.json"]
    return []


def clusters_of(subject):
    """Zeros can be looked for on a mesh, whose vertices the field is predicted at."""
    return f"sub-{subject}/singularities.tsv" if mesh_of(subject) and made(subject, "singularities") else []


rule surface_phantom:
    output:
        mesh="sub-{subject}/surface_true.surf.gii",
        truth="sub-{subject}/field_true.safetensors",
        observed="sub-{subject}/observed.safetensors",
        cloud="sub-{subject}/cloud.safetensors",
    log:
        "logs/sub-{subject}/phantoms.surface.log",
    params:
        **stages.params("phantoms.surface"),
        shape=lambda wildcards: f"--set shape={shape_of(wildcards.subject)}",
    resources:
        **stages.resources("phantoms.surface"),
    threads: stages.threads("phantoms.surface")
    shell:
        stages.shell("phantoms.surface", "", "mesh truth observed cloud", more="{params.shape}")


rule graph:
    input:
        unpack(lambda wildcards: domain_of(wildcards.subject)),
    output:
        domain="sub-{subject}/domain.safetensors",
        metrics="sub-{subject}/domain.json",
    log:
        "logs/sub-{subject}/fields.graph.log",
    params:
        **stages.params("fields.graph"),
        inputs=lambda wildcards, input: input_flags(dict(input.items())),
    resources:
        **stages.resources("fields.graph"),
    threads: stages.threads("fields.graph")
    shell:
        stages.shell("fields.graph", "", "domain metrics", more="{params.inputs}")


rule fit:
    input:
        domain="sub-{subject}/domain.safetensors",
        observed=lambda wildcards: observed_of(wildcards.subject),
    output:
        model="sub-{subject}/field_model.safetensors",
    log:
        "logs/sub-{subject}/fields.fit.log",
    params:
        **stages.params("fields.fit"),
    resources:
        **stages.resources("fields.fit"),
    threads: stages.threads("fields.fit")
    shell:
        stages.shell("fields.fit", "domain observed", "model")


rule predict:
    input:
        model="sub-{subject}/field_model.safetensors",
    output:
        field="sub-{subject}/field.safetensors",
        samples="sub-{subject}/field_samples.safetensors",
        metrics="sub-{subject}/field.json",
    log:
        "logs/sub-{subject}/fields.predict.log",
    params:
        **stages.params("fields.predict"),
    resources:
        **stages.resources("fields.predict"),
    threads: stages.threads("fields.predict")
    shell:
        stages.shell("fields.predict", "model", "field samples metrics")


rule singularities:
    input:
        points="sub-{subject}/field_samples.safetensors",
        mesh=lambda wildcards: mesh_of(wildcards.subject),
    output:
        clusters="sub-{subject}/singularities.tsv",
        cells="sub-{subject}/singularity_cells.tsv",
        metrics="sub-{subject}/singularities.json",
    log:
        "logs/sub-{subject}/fields.singularities.log",
    params:
        **stages.params("fields.singularities"),
    resources:
        **stages.resources("fields.singularities"),
    threads: stages.threads("fields.singularities")
    shell:
        stages.shell("fields.singularities", "points mesh", "clusters cells metrics")


rule evaluate_points:
    input:
        field="sub-{subject}/field.safetensors",
        truth=lambda wildcards: truth_of(wildcards.subject),
        observed=lambda wildcards: observed_of(wildcards.subject),
    output:
        metrics="sub-{subject}/field_metrics.json",
    log:
        "logs/sub-{subject}/fields.evaluate_points.log",
    params:
        **stages.params("fields.evaluate_points"),
    resources:
        **stages.resources("fields.evaluate_points"),
    threads: stages.threads("fields.evaluate_points")
    shell:
        stages.shell("fields.evaluate_points", "field truth observed", "metrics")


rule surface_page:
    input:
        field="sub-{subject}/field.safetensors",
        mesh=lambda wildcards: mesh_of(wildcards.subject) or [],
        observed=lambda wildcards: observed_of(wildcards.subject),
        truth=lambda wildcards: truth_of(wildcards.subject) or [],
        clusters=lambda wildcards: clusters_of(wildcards.subject),
        metrics=lambda wildcards: [
            f"sub-{wildcards.subject}/domain.json",
            f"sub-{wildcards.subject}/field.json",
            *judged_of(wildcards.subject),
        ],
    output:
        index="sub-{subject}/page/index.html",
    log:
        "logs/sub-{subject}/report.surface.log",
    params:
        **stages.params("report.surface", settings={"claim": config["claim"], "run_folder": "../.."}),
        inputs=lambda wildcards, input: input_flags(dict(input.items())),
        about=lambda wildcards: jobs.settings(
            {
                "subject": wildcards.subject,
                "failures": [entry[1:] for entry in NOT_FINISHED if entry[0] == wildcards.subject],
            }
        ),
    resources:
        **stages.resources("report.surface"),
    threads: stages.threads("report.surface")
    shell:
        stages.shell(
            "report.surface",
            "",
            "",
            more="{params.about} {params.inputs} --out-page sub-{wildcards.subject}/page",
        )


MODELS, TRAINED = [], []
PAGES = [f"sub-{subject}/page" for subject in SUBJECTS]
PAGES_MADE = [f"{page}/index.html" for page in PAGES]


include: "index.smk"
