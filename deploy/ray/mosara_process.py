"""One `mosara serve` of a replica: started, started again when it ends, and stopped. Knows nothing of requests."""

import asyncio
import ctypes
import shutil
import signal
import tempfile
import time

# A start that takes longer than this is a fault of the replica. A base of many gigabytes needs minutes.
START_SECONDS = 600


def die_with_parent() -> None:
    """Linux: ends the server when the replica is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class MosaraProcess:
    """One `mosara serve`, which is started again when it ends."""

    def __init__(self, command: list[str], flags: list[str]):
        self._data = tempfile.mkdtemp(prefix="mosara-")
        self._command = [*command, "serve", "--port", "0", "--data", self._data, *flags]
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._away_since = time.monotonic()
        self._url: str | None = None
        self._is_ready = asyncio.Event()
        self._run = asyncio.create_task(self._keep_running())

    @property
    def url(self) -> str | None:
        """Its address; None: it is starting."""
        return self._url

    async def until_ready(self) -> None:
        await self._is_ready.wait()

    @property
    def seconds_away(self) -> float:
        """For how long it has been starting; 0: it is ready."""
        return 0 if self._url is not None else time.monotonic() - self._away_since

    async def stop(self) -> None:
        """SIGTERM: running requests finish."""
        self._is_stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._run.cancel()
        shutil.rmtree(self._data, ignore_errors=True)

    async def _keep_running(self) -> None:
        while not self._is_stopping:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent
            )
            async for line in self._process.stdout:
                if line.startswith(b"mosara listening on "):
                    self._url = line.split()[-1].decode()
                    self._is_ready.set()
            await self._process.wait()
            had_been_ready = self._url is not None
            if had_been_ready:
                self._url, self._away_since = None, time.monotonic()
                self._is_ready.clear()
            else:
                await asyncio.sleep(1)  # It ended before it was ready: the log of the replica has the reason.
