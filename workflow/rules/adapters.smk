"""Adapters of the weights, where ``adapters.rows`` names any: they are trained, and evaluated beside the vectors."""

if ADAPTERS:

    rule train_adapter:
        input:
            model=MODEL_FILES,
            pairs=rules.prepare.output.pairs,
            store=rules.prepare.output.store,
        output:
            epochs=country_files(
                "train/{{adapter}}/{task}-{setting}/epoch_{epoch}/{file}",
                epoch=range(1, CONFIG.train.epochs + 1),
                file=ADAPTER_FILES,
            ),
            run=PATHS.root / "{language}/{country}/train/{adapter}/run.json",
            spent=PATHS.spent("{language}", "{country}", "{adapter}"),
        log:
            PATHS.root / "logs/train/{language}-{country}-{adapter}.log",
        wildcard_constraints:
            adapter=alternatives(ADAPTERS),
        threads: THREADS
        resources:
            **for_model(minutes=240),
        params:
            *settings_and_code("yapo.stages.train_adapter"),
            settings=overrides_of_all,
        message:
            "Train {wildcards.adapter}: {wildcards.country}"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.train_adapter {params.settings} 'adapters.rows=[{wildcards.adapter}]' country={wildcards.country:q} > {log:q} 2>&1"

    rule evaluate_adapters:
        input:
            rules.data.output,
            model=MODEL_FILES,
            sae=SAE_FILES,
            layer=rules.layer.output.layer,
            vectors=rules.evaluate.input.vectors,
            adapters=country_files(
                "train/{adapter}/{task}-{setting}/epoch_{epoch}/{file}",
                adapter=ADAPTERS,
                epoch=range(1, CONFIG.train.epochs + 1),
                file=ADAPTER_FILES,
            ),
            runs=country_files("train/{adapter}/run.json", adapter=ADAPTERS),
        output:
            vectors=rules.evaluate.output.vectors,
            validation=rules.evaluate.output.validation,
            evaluation=rules.evaluate.output.evaluation,
            judge=rules.evaluate.output.judge,
            adapters=country_files(
                "adapters/{adapter}/{task}-{setting}/{file}",
                adapter=ADAPTERS,
                file=[*ADAPTER_FILES, "provenance.json"],
            ),
            adapters_judge=PATHS.root / "{language}/{country}/adapters/judge.json",
        log:
            PATHS.root / "logs/evaluate/{language}-{country}.log",
        threads: THREADS
        resources:
            **for_model(minutes=1440),
        params:
            *settings_and_code("yapo.stages.evaluate_adapters"),
            settings=overrides_of_all,
        message:
            "Select on validation and test, adapters too: {wildcards.country}"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.evaluate_adapters {params.settings} country={wildcards.country:q} > {log:q} 2>&1"

    ruleorder: evaluate_adapters > evaluate
