DSPA = CONFIG.studies.dspa


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
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("dspa_study", METHOD_CONFIG["dspa"]),
        command=command("dspa_study", for_dspa, for_country, model=True),
    message:
        "DSPA, one change at a time: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


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
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("dspa_chat"),
        command=command("dspa_chat", for_country, model=True),
    message:
        "Judged conversations: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule dspa_study_table:
    input:
        checked(
            ["dspa_study"],
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
    threads: THREADS
    params:
        spec=lambda wildcards: spec("dspa_study_table", METHOD_CONFIG["dspa"]),
        command=command("dspa_study_table", for_dspa),
    message:
        "Tables and figure of DSPA's own studies"
    shell:
        "{params.command} > {log:q} 2>&1"


rule dspa_study:
    input:
        rules.dspa_study_table.output,
    message:
        f"Done: {STUDY.root}/tables/dspa_study.md"
