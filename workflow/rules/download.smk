if WANTED:

    rule download:
        output:
            PATHS.download,
        log:
            PATHS.root / "logs/download.log",
        localrule: True
        threads: THREADS
        params:
            wanted=lambda wildcards: json.dumps(WANTED, sort_keys=True),
            settings=overrides_of_all,
        message:
            "Download from the hub: {params.wanted}"
        shell:
            "python -m yapo.warm -m yapo.stages.download {params.settings} > {log:q} 2>&1"
