"""Measures the project's goals: ``python -m bench [NAME …]``; without names, all of them, one after another."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHES = {
    "up": "warm `tunestack up` of the whole local stack, and an `up` that changes nothing",
    "trainer_speed": "our trainer against TRL's own loop: seconds a step, largest difference of losses",
    "provider_scale": "many jobs in flight in one provider, a large preview, the embedded engine with 200 resources",
    "storage_emulator": "requests a second of a storage script against gcp-storage-emulator's",
    "quality": "both jobs over three seeds against base, TF-IDF and shuffled labels",
    "dataset_speed": "the dataset check against a bare orjson loop and Together's check",
    "dataset_memory": "memory of a check from 0.2 to 10 GB",
    "dataset_parts": "rendering, compiling, near duplicates, token totals; duplicates and planted errors found",
    "dataset_beam": "the check as a Beam pipeline of blocks against one of rows",
    "dataset_native": "the check with and without the optional native package, and their equality",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="\n".join(f"  {name:<14} {what}" for name, what in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHES)}")
    chosen = parser.parse_args().names or list(BENCHES)
    if unknown := [name for name in chosen if name not in BENCHES]:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    missed = 0
    for name in chosen:
        print(f"\n## {name}: {BENCHES[name]}\n", flush=True)
        missed += subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode != 0
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
