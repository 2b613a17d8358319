"""The predict worker: one process of the trainer's serving mode, started when it is first needed.

It speaks JSON lines (contracts, section 4) and ends by itself when its input closes, so it outlives no
emulator, however that one ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.errors import ApiError, failed_precondition
from tunestack.emulator.jobs.training import command, trainer_environment
from tunestack.emulator.options import EmulatorOptions

Json = dict[str, Any]

_LINE_AT_MOST = 64 << 20


class PredictWorker:
    """Generates text, one request after another."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._numbers = itertools.count(1)

    async def generate(
        self, prompts: list[str], adapter: Path | None, max_output_tokens: int, temperature: float
    ) -> list[Json]:
        """``[{"text", "input_tokens", "output_tokens"}]``, one for each prompt.

        A worker that died is replaced once; then 503 UNAVAILABLE. What it refuses is 500 INTERNAL.
        """
        async with self._lock:
            if self._idle:
                self._idle.cancel()
            request = {
                "id": next(self._numbers),
                "adapter": str(adapter) if adapter else None,
                "prompts": prompts,
                "max_output_tokens": max_output_tokens,
                "temperature": temperature,
            }
            try:
                reply = await self._ask(request)
                if reply is None:
                    reply = await self._ask(request)
            except asyncio.CancelledError:
                # The answer of an abandoned request must not be taken for the next one's.
                await self._end()
                raise
            if reply is None:
                raise ApiError("UNAVAILABLE", f"the predict worker ended; its words are in {self._log}")
            if "error" in reply:
                raise ApiError("INTERNAL", f"the predict worker failed: {reply['error']}")
            self._idle = asyncio.get_running_loop().call_later(self._options.idle_seconds, self._end_idle)
            outputs: list[Json] = reply["outputs"]
            return outputs

    async def stop(self) -> None:
        if self._idle:
            self._idle.cancel()
        await self._end()

    @property
    def _log(self) -> Path:
        return self._options.data / "predict-worker.log"

    async def _ask(self, request: Json) -> Json | None:
        """One exchange; None when the worker died."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
            if await _line(process) is None:
                await self._end()
                return None
        if process.stdin is None:
            return None
        try:
            process.stdin.write(orjson.dumps(request) + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            await self._end()
            return None
        reply = await _line(process)
        if reply is None or reply.get("id") != request["id"]:
            await self._end()
            return None
        return reply

    async def _start(self) -> asyncio.subprocess.Process:
        options = self._options
        if options.trainer is None or options.base_model is None:
            raise failed_precondition(
                "the emulator was started without --trainer and --base-model: nothing can predict"
            )
        arguments = ["--serve", "--base-model", str(options.base_model), "--threads", str(options.threads)]
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command(options.trainer),
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=trainer_environment(options.threads),
                limit=_LINE_AT_MOST,
            )

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 2)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _end_idle(self) -> None:
        if not self._lock.locked():
            self._ending = asyncio.get_running_loop().create_task(self._end())


async def _line(process: asyncio.subprocess.Process) -> Json | None:
    """The next JSON line; lines that are none (a library's chatter) are skipped. None at the end."""
    if process.stdout is None:
        return None
    while line := await process.stdout.readline():
        try:
            body = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(body, dict):
            return body
    return None
