"""Studies of why a vector works, one folder each."""

from yapo.errors import exit_without_study

exit_without_study(__name__)
