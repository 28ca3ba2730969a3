"""What people ask for. Every kept file is named, so that a lost intermediate is noticed and made again."""


rule all_tables:
    input:
        [kept_files(country) for country in COUNTRIES],
        rules.tables.output,
        rules.figures.output,
        rules.mlflow.output,
    message:
        f"Done: {STUDY.root}/tables and {STUDY.root}/figures"


for country in COUNTRIES:

    rule:
        name:
            f"country_{country}"
        input:
            kept_files(country),
        message:
            f"Done: {STUDY.country(COUNTRIES[country], country)}"


rule study:
    default_target: True
    input:
        getattr(rules, config["study"]).input,
    message:
        f"Done: {config['study']}"
