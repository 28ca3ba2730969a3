"""The studies around the tables: rows of each country, then a table, figures and a finding of all."""

# How each study's report is made; a study's own rules change what is different there.
REPORTS = {
    name: {
        "rows": [
            PATHS.study_rows(rows, language, country)
            for country, language in STUDIED[name].items()
            for rows in get_study(name).row_names(CONFIG)
        ],
        "inputs": [],
        "pages": [],
        "config": PLAIN_CONFIG,
        "settings": shlex.join(OVERRIDES),
    }
    for name in STUDIES
}
RULES_OF_STUDIES = {
    name: path
    for name in STUDIES
    if (path := STUDY_FOLDER / name / "rules.smk").is_file()
}


for path in RULES_OF_STUDIES.values():

    include: path


for name in [name for name in STUDIES if name not in RULES_OF_STUDIES]:

    rule:
        name:
            f"{name}_country"
        input:
            rules.data.output,
            model=MODEL_FILES,
            sae=SAE_FILES,
            layer=rules.layer.output.layer,
            vectors=chosen_vectors(get_study(name).vector_keys(CONFIG)),
            pairs=(
                [
                    *rules.prepare.output.pairs,
                    *rules.prepare.output.store,
                ]
                if "pairs" in get_study(name).takes
                else []
            ),
            evaluation=(
                rules.evaluate.output.evaluation
                if "evaluation" in get_study(name).takes
                else []
            ),
            validation=(
                rules.evaluate.output.validation
                if "validation" in get_study(name).takes
                else []
            ),
        output:
            [
                PATHS.study_rows(rows, "{language}", "{country}")
                for rows in get_study(name).row_names(CONFIG)
            ],
        log:
            PATHS.root / f"logs/{name}/{{language}}-{{country}}.log",
        threads: THREADS
        resources:
            **for_model(minutes=get_study(name).minutes),
        params:
            *settings_and_code(f"yapo.studies.{name}.run"),
            stage=f"yapo.studies.{name}.run",
            settings=overrides_of_all,
        message:
            f"{get_study(name).title}: {{wildcards.country}}"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m {params.stage} {params.settings} country={wildcards.country:q} > {log:q} 2>&1"


for name in STUDIES:

    rule:
        name:
            f"{name}_table"
        input:
            refuse_unless_possible([name], REPORTS[name]["rows"]),
            REPORTS[name]["inputs"],
        output:
            [PATHS.root / file for file in get_study(name).file_names(CONFIG)],
            finding=PATHS.finding(name),
        log:
            PATHS.root / f"logs/{name}_table.log",
        threads: THREADS
        params:
            *settings_and_code(f"yapo.studies.{name}.report", REPORTS[name]["config"]),
            stage=f"yapo.studies.{name}.report",
            # A function of ``threads``, so that the command alone, as with another experiment's settings, reruns nothing.
            settings=lambda wildcards, threads, name=name: REPORTS[name]["settings"],
        message:
            f"{get_study(name).title}: table, figures and finding"
        shell:
            "python -m yapo.warm -m {params.stage} {params.settings} > {log:q} 2>&1"

    rule:
        name:
            name
        input:
            getattr(rules, f"{name}_table").output,
            REPORTS[name]["pages"],
        message:
            f"Done: {PATHS.root}/tables/{name}.md"
