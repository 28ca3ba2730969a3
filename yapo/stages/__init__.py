"""A module for each job of the DAG, and what they share."""

from yapo.errors import exit_without_study

exit_without_study(__name__)
