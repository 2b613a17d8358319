"""The trainer's and the server's one door: `python jobs/trainers/hf --help`."""

import sys

from hf_trainer.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
