DSPA = CONFIG.studies.dspa

DSPA_OVERRIDES = ["method=dspa", *OWN_OVERRIDES.get("dspa", [])]


rule dspa_study_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        of_country(f"vectors/dspa/{{task}}-{DSPA.setting}.safetensors"),
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        rows=STUDY.of_study("dspa_study", "{language}", "{country}"),
        flops=STUDY.of_study("dspa_flops", "{language}", "{country}"),
    log:
        STUDY.root / "logs/dspa_study/{language}-{country}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("dspa_study", METHOD_CONFIG["dspa"]),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
        method=untracked(shlex.join(DSPA_OVERRIDES)),
    message:
        "DSPA, one change at a time: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.dspa_study {params.arguments} {params.method}"
        " country={wildcards.country} > {log} 2>&1"


rule dspa_chat:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        DSPA.conversations,
        DSPA.instructions,
        of_country(
            "vectors/{method}/{vector}.safetensors",
            method=METHODS,
            vector=f"{DSPA.chat_task}-{DSPA.setting}",
        ),
    output:
        rows=STUDY.of_study("dspa_chat", "{language}", "{country}"),
        judge=STUDY.of_study("dspa_chat", "{language}", "{country}").with_suffix(
            ".json"
        ),
    log:
        STUDY.root / "logs/dspa_chat/{language}-{country}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("dspa_chat"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Judged conversations: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.dspa_chat {params.arguments}"
        " country={wildcards.country} > {log} 2>&1"


rule dspa_study_table:
    input:
        checked(
            "dspa_study",
            [
                STUDY.of_study(name, language, country)
                for country, language in STUDIED["dspa"].items()
                for name in ["dspa_study", "dspa_flops", "dspa_chat"]
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/dspa_study{part}.{kind}"),
            part=["", "_chat", "_flops"],
            kind=["csv", "md", "tex", "html"],
        ),
        expand(str(STUDY.root / "figures/dspa_study.{kind}"), kind=["svg", "png"]),
        STUDY.finding("dspa_study"),
    log:
        STUDY.root / "logs/dspa_study_table.log",
    conda:
        "../../environment.yml"
    params:
        spec=lambda wildcards: spec("dspa_study_table", METHOD_CONFIG["dspa"]),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
        method=untracked(shlex.join(DSPA_OVERRIDES)),
    message:
        "Tables and figure of DSPA's own studies"
    shell:
        "{params.python} -m yapo.warm -m yapo.stages.dspa_study_table {params.arguments} {params.method} > {log} 2>&1"


rule dspa_study:
    input:
        rules.dspa_study_table.output,
    message:
        f"Done: {STUDY.root}/tables/dspa_study.md"
