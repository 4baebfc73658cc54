# All pages -> the report. The rules that make the pages say which there are (PAGES), which results of the whole cohort
# belong to them (MODELS), whose scans trained a network of this run (TRAINED), and what failed (NOT_FINISHED).


rule report_index:
    input:
        pages=[f"{page}/index.html" for page in PAGES],
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
        inputs=lambda wildcards, input: input_flags({"pages": PAGES, "models": input.models}),
        look=jobs.look(),
    resources:
        **stages.resources("report.build"),
    threads: stages.threads("report.build")
    shell:
        stages.shell("report.build", "", "", subject="", more="{params.inputs} --out-report report")
