if WANTED:

    rule download:
        output:
            STUDY.download,
        log:
            STUDY.root / "logs/download.log",
        localrule: True
        threads: THREADS
        params:
            wanted=lambda wildcards: json.dumps(WANTED, sort_keys=True),
        message:
            "Download from the hub: {params.wanted}"
        shell:
            "{JOB} yapo.stages.download {SETTINGS_OF_ALL} > {log:q} 2>&1"
