"""``tunestack dataset check|compile``: every defect of every row, before anything is uploaded."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "exit status: 0 good, 1 findings, 2 cannot run"
    parser.add_argument("action", choices=("check", "compile"))
    parser.add_argument("path", nargs="+", type=Path, help="a dataset folder, or (check) a bare JSONL file")
    parser.add_argument("--format", default="supervised", choices=("supervised",), help="of a bare file")
    parser.add_argument("--output", type=Path, default=Path(".tunestack/compiled"), help="compile: where to")
    parser.add_argument("--json", action="store_true", help="findings and counts, for machines")


def run(arguments: argparse.Namespace) -> int:
    from tunestack.dataset import check_dataset, check_file, compile_dataset, json_report, terminal_report

    findings = []
    for path in arguments.path:
        findings += check_dataset(path) if path.is_dir() else check_file(path, format=arguments.format)
    if arguments.json and (findings or arguments.action == "check"):
        print(json.dumps(json_report(findings), indent=2, ensure_ascii=False))
    elif findings:
        print(terminal_report(findings))
    if findings:
        return 1
    if arguments.action == "check":
        if not arguments.json:
            print(f"good: {', '.join(map(str, arguments.path))}")
        return 0
    for path in arguments.path:
        compiled = compile_dataset(path, arguments.output)
        files = {
            "train": compiled.train,
            **({"validation": compiled.validation} if compiled.validation else {}),
            **{f"held-out {name}": file for name, file in compiled.held_out.items()},
        }
        if arguments.json:
            print(
                json.dumps(
                    {
                        "name": compiled.name,
                        "digest": compiled.digest,
                        "files": {
                            name: {
                                "path": str(file.path),
                                "rows": file.rows,
                                "digest": file.digest,
                                "crc32c": file.crc32c,
                            }
                            for name, file in files.items()
                        },
                    },
                    indent=2,
                )
            )
            continue
        print(f"{compiled.name}  digest {compiled.digest[:16]}")
        for name, file in files.items():
            print(f"  {name:<20} {file.rows:>6} rows  {file.bytes:>8} bytes  {file.path}")
    return 0
