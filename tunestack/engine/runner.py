"""The process that the Pulumi program runs in: what ``pulumi-language-python-exec`` is to the CLI.

Started as ``python -P runner.py`` with the interpreter of the program's virtual environment, in the `main`
folder. It loads the SDK at once, and waits on stdin for a JSON document with everything else. It stands
alone, so that the program's environment needs only ``pulumi``. Only what `pulumi.runtime` exports is used,
the same names as the official executor's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

REFUSAL = "the embedded engine does not implement"  # the words of errors.EngineRefused
MESSAGE_SHOWN = 32  # exit code: the error has been shown already (the CLI's own convention)
# Every output is a task with its closures, alive until the end: at Python's threshold of 700 new objects the collector
# looks through all of them again and again, and takes half the time of a program with a thousand resources. This many
# are some 50 MB.
COLLECTED_AFTER = 500_000
GATHERING_SECONDS_EACH = 200e-6  # a hundred times what one output costs in one wait


class GatheringAsyncio:
    """`asyncio` for the SDK's loop over its outputs: `wait` gathers what completes before it returns.

    That loop waits for the first of all pending outputs, again and again; each time costs as much as there are
    outputs, so that a thousand resources take longer to wait for than to register. Here it gathers for a time in
    proportion to that: four seconds for a thousand resources of twenty outputs, a moment for a few. A failure among
    them is still told at once.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def wait(self, tasks: Iterable[asyncio.Future[Any]], **options: Any) -> Any:
        """As `asyncio.wait`; of the first completed, also what completes soon after it, up to the first failure."""
        if options == {"return_when": asyncio.FIRST_COMPLETED}:
            tasks = set(tasks)
            done, pending = await asyncio.wait(
                tasks,
                timeout=len(tasks) * GATHERING_SECONDS_EACH,
                return_when=asyncio.FIRST_EXCEPTION,
            )
            if done:
                return done, pending
        return await asyncio.wait(tasks, **options)


def user_traceback(program: str) -> str:
    """The current exception's traceback from the program's own first frame on."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    for index, frame in enumerate(frames):
        if os.path.abspath(frame.filename).startswith(program):  # noqa: PTH100 - may be "<frozen runpy>"
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


def transfer_properties(resource: Any, properties: Iterable[str], custom: bool) -> dict[str, Any]:
    """An output of the resource for each property, and by its name what resolves it: as the SDK's function does it.

    There each output is four futures and a task, which is most of what a resource with twenty outputs costs before its
    registration leaves; here it is one future, as the SDK has it for `urn` and `id`.
    """
    import pulumi

    make_output, data_of = pulumi.Output._from_data, pulumi.output._OutputData

    def resolve(
        future: Any, value: Any, is_known: bool, is_secret: bool, depends_on: Any, failed: Exception | None
    ) -> None:
        if failed is not None:
            future.set_exception(failed)
        else:
            future.set_result(data_of({*(depends_on or ()), resource}, value, is_known, is_secret))

    loop = asyncio.get_event_loop()
    resolvers = {}
    for name in properties:
        if name != "urn" and not (name == "id" and custom):
            future = loop.create_future()
            resource.__dict__[name] = make_output(future)
            resolvers[name] = partial(resolve, future)
    return resolvers


def spare_the_sdk() -> None:
    """Keep the SDK from what takes it long and serves nobody here. It has no settings for this.

    These are names of its modules; where a version of it has others, it only takes longer.
    """
    import pulumi
    import pulumi.runtime
    from pulumi.runtime.proto import source_pb2

    # Three debug messages a resource that nobody sees cost half the time of a run.
    pulumi.log.debug = lambda *_arguments, **_options: None
    # Each resource tells its place in the program with the whole stack, some 16 frames; this engine does not use it.
    pulumi.runtime.exists_resource.__globals__["_get_stack_trace"] = source_pb2.StackTrace
    pulumi.runtime.run_in_stack.__globals__["asyncio"] = GatheringAsyncio()
    if hasattr(pulumi.Output, "_from_data") and hasattr(pulumi.output, "_OutputData"):
        vars(pulumi.runtime.rpc)["transfer_properties"] = transfer_properties


def main() -> int:
    os.environ["GRPC_VERBOSITY"] = "NONE"
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])
    import pulumi
    import pulumi.runtime

    settings: dict[str, Any] = json.loads(sys.stdin.buffer.read() or b"null")
    if settings is None:  # the engine thought better of it
        return 0
    program = settings["program"]

    spare_the_sdk()
    pulumi.runtime.set_all_config(settings["config"], settings["config_secret_keys"])
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=settings["monitor"],
            engine=settings["engine"],
            project=settings["project"],
            stack=settings["stack"],
            parallel=settings["parallel"],
            dry_run=settings["dry_run"],
            organization=settings["organization"],
            root_directory=settings["root_directory"],
        )
    )
    sys.argv = [program]
    if not Path(program).is_dir():  # of a folder, runpy puts the folder first itself
        sys.path.insert(0, ".")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Each registration blocks a thread of the SDK's until its step is done.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(settings["parallel"], 1) * 4))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def run() -> None:
        folder = Path(program)
        if folder.is_dir() and not (folder / "__main__.py").exists():
            pulumi.log.error(f"unable to find main python program `__main__.py` in `{folder.resolve()}`")
            raise SystemExit(MESSAGE_SHOWN)
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:
        if REFUSAL in str(error):  # the engine has told it already, by name
            return MESSAGE_SHOWN
        shown = user_traceback(str(Path(program).resolve()))
        pulumi.log.error("Program failed with an unhandled exception:\n" + shown)
        return MESSAGE_SHOWN
    return 0


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    except KeyboardInterrupt:
        pass
    except SystemExit as exit_request:
        status = exit_request.code if isinstance(exit_request.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Executor threads may sit in calls that never return: do not wait for them.
        os._exit(status)
