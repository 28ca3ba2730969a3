"""One short module per job of the DAG."""

from yapo.errors import exit_without_study

exit_without_study()
