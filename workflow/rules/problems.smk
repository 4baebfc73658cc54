# A problem file -> its solution by each solver -> their agreement -> page. The pipeline says what there is: HOME, the
# folder of problem files, PROBLEMS, who solves each, SOLVERS, all of them, OPERATOR, the model of the solver `learned` or
# None, and RESULTS, metrics that belong to all problems.
from voxfield.report import jobs

NOT_FINISHED = jobs.failed()


def solved(subject):
    """Solvers of a problem that have not failed."""
    return [solver for solver in PROBLEMS[subject] if (subject, f"solve_{solver}") not in FAILED]


def of_solvers(pattern):
    """The files of all solvers of a problem, in one order."""
    return lambda wildcards: [pattern.format(subject=wildcards.subject, solver=s) for s in solved(wildcards.subject)]


def compared(subject, name):
    """A result of the comparison, where there are two solutions and they agree."""
    there = len(solved(subject)) > 1 and (subject, "compare") not in FAILED
    return f"sub-{subject}/{name}" if there else []


# One rule a solver, so that one that fails leaves a note of its own.
for solver in SOLVERS:
    model = {"model": OPERATOR} if solver == "learned" and OPERATOR else {}

    rule:
        name:
            f"solve_{solver}"
        input:
            problem=str(HOME / "{subject}.yaml"),
            **model,
        output:
            field=f"sub-{{subject}}/solution_{solver}.safetensors",
            metrics=f"sub-{{subject}}/summary_{solver}.json",
            picture=f"sub-{{subject}}/solution_{solver}.png",
        log:
            f"logs/sub-{{subject}}/pde.solve.{solver}.log",
        params:
            **stages.params("pde.solve", settings={"solver": solver}),
            model=input_flags(model),
        resources:
            **stages.resources("pde.solve"),
        threads: stages.threads("pde.solve")
        shell:
            stages.shell("pde.solve", "problem", "field metrics picture", more="{params.model}")


rule compare:
    input:
        problem=str(HOME / "{subject}.yaml"),
        solutions=of_solvers("sub-{subject}/solution_{solver}.safetensors"),
        summaries=of_solvers("sub-{subject}/summary_{solver}.json"),
    output:
        pairs="sub-{subject}/pairs.tsv",
        metrics="sub-{subject}/agreement.json",
        picture="sub-{subject}/agreement.png",
    log:
        "logs/sub-{subject}/pde.compare.log",
    params:
        **stages.params("pde.compare"),
    resources:
        **stages.resources("pde.compare"),
    threads: stages.threads("pde.compare")
    shell:
        stages.shell("pde.compare", "problem solutions summaries", "pairs metrics picture")


rule problem_page:
    input:
        problem=str(HOME / "{subject}.yaml"),
        pictures=of_solvers("sub-{subject}/solution_{solver}.png"),
        summaries=of_solvers("sub-{subject}/summary_{solver}.json"),
        comparison=lambda wildcards: compared(wildcards.subject, "agreement.png"),
        pairs=lambda wildcards: compared(wildcards.subject, "pairs.tsv"),
    output:
        index="sub-{subject}/page/index.html",
    log:
        "logs/sub-{subject}/report.problem.log",
    params:
        **stages.params("report.problem", settings={"claim": config["claim"], "run_folder": "../.."}),
        inputs=lambda wildcards, input: input_flags(dict(input.items())),
        about=lambda wildcards: jobs.settings(
            {
                "subject": wildcards.subject,
                "failures": [entry[1:] for entry in NOT_FINISHED if entry[0] == wildcards.subject],
            }
        ),
    resources:
        **stages.resources("report.problem"),
    threads: stages.threads("report.problem")
    shell:
        stages.shell(
            "report.problem",
            "",
            "",
            more="{params.about} {params.inputs} --out-page sub-{wildcards.subject}/page",
        )


MODELS, TRAINED = RESULTS, []
PAGES = [f"sub-{subject}/page" for subject in SUBJECTS]
PAGES_MADE = [f"{page}/index.html" for page in PAGES]


include: "index.smk"
