"""Targets that people ask for. Every kept file is named, so that a lost intermediate is noticed and made again."""


rule all_tables:
    input:
        [kept_files(country) for country in COUNTRIES],
        rules.tables.output,
        rules.figures.output,
        [] if TEST_ONLY else rules.mlflow.output,
    message:
        f"Done: {PATHS.root}/tables and {PATHS.root}/figures"


for country in COUNTRIES:

    rule:
        name:
            f"country_{country}"
        input:
            kept_files(country),
        message:
            f"Done: {PATHS.country(COUNTRIES[country], country)}"
