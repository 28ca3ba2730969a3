"""A module for each job of curation."""

from yapo.errors import exit_without_study

exit_without_study(__name__)
