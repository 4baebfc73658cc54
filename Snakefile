include: "workflow/Snakefile"


rule everything:  # an included file sets no default target
    default_target: True
    input:
        rules.all.input,
