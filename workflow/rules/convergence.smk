CONVERGENCE_METHODS = [
    method for method in CONFIG.studies.convergence.methods if method in METHODS
]


rule convergence_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        STUDY.of_study("convergence_{method}", "{language}", "{country}"),
    log:
        STUDY.root / "logs/convergence/{language}-{country}-{method}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("convergence", METHOD_CONFIG[wildcards.method]),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
        method=per_method,
    message:
        "Convergence of {wildcards.method}: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.convergence {params.arguments} {params.method}"
        " country={wildcards.country} > {log} 2>&1"


rule convergence_table:
    input:
        checked(
            "convergence",
            [
                STUDY.of_study(f"convergence_{method}", language, country)
                for country, language in STUDIED["convergence"].items()
                for method in CONVERGENCE_METHODS
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/convergence.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(
            str(STUDY.root / "figures/convergence.{kind}"),
            kind=["svg", "png"],
        ),
        STUDY.finding("convergence"),
    log:
        STUDY.root / "logs/convergence_table.log",
    conda:
        "../../environment.yml"
    params:
        spec=reads("convergence_table"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Table and figure of convergence"
    shell:
        "{params.python} -m yapo.warm -m yapo.stages.convergence_table {params.arguments} > {log} 2>&1"


rule convergence:
    input:
        rules.convergence_table.output,
    message:
        f"Done: {STUDY.root}/tables/convergence.md"
