# All pages -> the report. The rules that make the pages say which there are (PAGES) and what Snakemake knows of them
# (PAGES_MADE), which results of the whole cohort belong to them (MODELS), whose scans trained a network of this run
# (TRAINED), and what failed (NOT_FINISHED). The pages stand in a table: a command of ten thousand names is too long.
from pathlib import Path

from voxfield.batches import write_table

if PAGES:
    write_table(Path("batches/pages.tsv"), [{"page": page} for page in PAGES])


rule report_index:
    input:
        table="batches/pages.tsv" if PAGES else [],
        pages=PAGES_MADE,
        models=MODELS if PAGES else [],
    output:
        index="report/index.html",
    log:
        "logs/report.build.log",
    params:
        **stages.params(
            "report.build",
            settings={
                "title": config["title"],
                "claim": config["claim"],
                "failures": NOT_FINISHED,
                "training": TRAINED,
                "run_folder": "..",
            },
        ),
        inputs=lambda wildcards, input: input_flags(
            {"pages": ["@batches/pages.tsv:../{page}"] if PAGES else [], "models": input.models}
        ),
    resources:
        **stages.resources("report.build"),
    threads: stages.threads("report.build")
    shell:
        stages.shell("report.build", "", "", subject="", more="{params.inputs} --out-report report")
