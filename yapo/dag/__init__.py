"""The plan of a study for Snakemake: its options, its scope, and what reruns."""
