"""One short module per job of the DAG."""
