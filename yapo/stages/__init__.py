"""One short module per job of the DAG."""

import sys

from yapo.errors import YapoError, require_extra

try:  # before a stage's own imports, so that its command says in one sentence what is missing
    require_extra("study", "hydra", "pandera", "pyarrow")
except YapoError as missing:
    sys.stderr.write(f"error: {missing}\n")
    sys.exit(2)
