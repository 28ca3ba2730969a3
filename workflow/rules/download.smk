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
            command=command("download"),
        message:
            "Download from the hub: {params.wanted}"
        shell:
            "{params.command} > {log:q} 2>&1"
