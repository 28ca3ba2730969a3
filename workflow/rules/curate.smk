"""Curation: a benchmark from seed questions. A DAG of its own, which no study waits for."""

from typing import get_args

from yapo.config.curation import Step


rule curate_answers:
    input:
        curation_files("seeds", "places", "topics", "recording"),
    output:
        kept=CURATION.kept("answers"),
        dropped=CURATION.dropped("answers"),
        replies=CURATION.replies,
        generation=CURATION.generation,
    log:
        PATHS.root / "logs/curation/answers.log",
    threads: THREADS
    resources:
        **(
            for_model(minutes=1440)
            if CONFIG.judge.name == "local"
            else {"runtime": 1440}
        ),
    params:
        *settings_and_code("yapo.stages.curation.answers"),
        settings=overrides_of_all,
    message:
        "Ask the seed questions"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.curation.answers {params.settings} > {log:q} 2>&1"


rule curate_existence:
    input:
        curation_files("places"),
        candidates=rules.curate_answers.output.kept,
    output:
        kept=CURATION.kept("existence"),
        dropped=CURATION.dropped("existence"),
    log:
        PATHS.root / "logs/curation/existence.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.curation.existence"),
        settings=overrides_of_all,
    message:
        "Existence filter"
    shell:
        "python -m yapo.warm -m yapo.stages.curation.existence {params.settings} > {log:q} 2>&1"


rule curate_choices:
    input:
        candidates=rules.curate_existence.output.kept,
    output:
        kept=CURATION.kept("choices"),
        dropped=CURATION.dropped("choices"),
    log:
        PATHS.root / "logs/curation/choices.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.curation.choices"),
        settings=overrides_of_all,
    message:
        "Multiple choice"
    shell:
        "python -m yapo.warm -m yapo.stages.curation.choices {params.settings} > {log:q} 2>&1"


rule curate_duplicates:
    input:
        curation_files("duplicates.review"),
        candidates=rules.curate_choices.output.kept,
    output:
        kept=CURATION.kept("duplicates"),
        dropped=CURATION.dropped("duplicates"),
        pairs=CURATION.pairs,
    log:
        PATHS.root / "logs/curation/duplicates.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.curation.duplicates"),
        settings=overrides_of_all,
    message:
        "Near-duplicates"
    shell:
        "python -m yapo.warm -m yapo.stages.curation.duplicates {params.settings} > {log:q} 2>&1"


rule curate_variants:
    input:
        curation_files("places"),
        candidates=rules.curate_duplicates.output.kept,
    output:
        kept=CURATION.kept("variants"),
        dropped=CURATION.dropped("variants"),
    log:
        PATHS.root / "logs/curation/variants.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.curation.variants"),
        settings=overrides_of_all,
    message:
        "Localized and non-localized forms"
    shell:
        "python -m yapo.warm -m yapo.stages.curation.variants {params.settings} > {log:q} 2>&1"


CURATION_DROPPED = [CURATION.dropped(step) for step in get_args(Step)]


rule curate_package:
    input:
        curation_files("places"),
        candidates=rules.curate_variants.output.kept,
        dropped=CURATION_DROPPED,
        generation=rules.curate_answers.output.generation,
    output:
        table=CURATION.items,
        hub=directory(CURATION.hub),
        sizes=curation_tables("table6_topics", "table7_dataset"),
    log:
        PATHS.root / "logs/curation/package.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.curation.package"),
        settings=overrides_of_all,
    message:
        "Package of the benchmark"
    shell:
        "python -m yapo.warm -m yapo.stages.curation.package {params.settings} > {log:q} 2>&1"


rule curate_report:
    input:
        candidates=rules.curate_variants.output.kept,
        dropped=CURATION_DROPPED,
    output:
        page=CURATION.report,
        figures=[f"{CURATION.figure}.{kind}" for kind in ["png", "svg"]],
        tables=curation_tables("funnel", "dropped", "examples"),
    log:
        PATHS.root / "logs/curation/report.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.curation.report"),
        settings=overrides_of_all,
    message:
        "Report of curation"
    shell:
        "python -m yapo.warm -m yapo.stages.curation.report {params.settings} > {log:q} 2>&1"


rule curate:
    input:
        rules.curate_package.output,
        rules.curate_report.output,
    message:
        f"Done: {CURATION.root}"
