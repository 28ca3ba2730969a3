from yapo.studies.costs import counted_setting


rule costs_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
        compared=compared_pairs,
        vectors=country_files(
            f"vectors/{{{{method}}}}/{{task}}-{counted_setting(SETTINGS)}.safetensors"
        ),
    output:
        rows=PATHS.study_rows("costs_{method}", "{language}", "{country}"),
    log:
        PATHS.root / "logs/costs/{language}-{country}-{method}.log",
    threads: THREADS
    resources:
        **for_model(minutes=60),
    params:
        *settings_and_code_by_method("yapo.studies.costs.run"),
        method=overrides_of_method,
        settings=overrides_of_all,
    message:
        "Costs of {wildcards.method}: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.costs.run {params.settings} {params.method} country={wildcards.country:q} > {log:q} 2>&1"


if ADAPTERS:

    rule costs_adapters:
        input:
            model=MODEL_FILES,
            pairs=rules.prepare.output.pairs,
            store=rules.prepare.output.store,
            adapters=rules.evaluate_adapters.output.adapters,
        output:
            rows=[
                PATHS.study_rows(f"costs_{adapter}", "{language}", "{country}")
                for adapter in ADAPTERS
            ],
        log:
            PATHS.root / "logs/costs/{language}-{country}-adapters.log",
        threads: THREADS
        resources:
            **for_model(minutes=60),
        params:
            *settings_and_code("yapo.studies.costs.adapters"),
            settings=overrides_of_all,
        message:
            "Costs of adapters: {wildcards.country}"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.costs.adapters {params.settings} country={wildcards.country:q} > {log:q} 2>&1"


# What the fits took, as the trainings themselves measured it.
REPORTS["costs"]["inputs"] = [
    PATHS.spent(language, country, method)
    for country, language in COUNTRIES.items()
    for method in [*METHODS, *ADAPTERS]
]
# The first figure shows costs too, where they were counted.
REPORTS["equal_kl"]["inputs"] = REPORTS["costs"]["rows"]
