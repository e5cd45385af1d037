"""mosara under Ray Serve: each replica owns one `mosara serve`, and passes bytes through.

    serve run deploy/ray/serve.yaml

A client that sends the header `serve_multiplexed_model_id: <adapter>` reaches a replica that has served this adapter
before. docs/how-to/operate/several-replicas.md explains.
"""

import asyncio
import ctypes
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator

import aiohttp
from ray import serve
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

# Headers that belong to one connection (RFC 9110, section 7.6.1), and those that each side computes itself.
PER_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"}
# Adapters that Ray remembers for a replica. mosara itself keeps as many as --adapter-cache-bytes allow.
REMEMBERED_ADAPTERS = 1000
# A server that does not answer is tried again, while it restarts.
ATTEMPTS = 3


def die_with_parent() -> None:
    """Linux: ends the server when the replica is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Server:
    """One `mosara serve`, which is started again when it ends."""

    def __init__(self, command: list[str], flags: list[str]):
        self._data = tempfile.mkdtemp(prefix="mosara-")
        self._command = [*command, "serve", "--port", "0", "--data", self._data, *flags]
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._url = asyncio.get_running_loop().create_future()
        self._run = asyncio.create_task(self._keep_running())

    async def url(self) -> str:
        """Its address, once it is ready."""
        return await asyncio.shield(self._url)

    @property
    def is_ready(self) -> bool:
        return self._url.done()

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
                    self._url.set_result(line.split()[-1].decode())
            await self._process.wait()
            if self._url.done():
                self._url = asyncio.get_running_loop().create_future()
            else:
                await asyncio.sleep(1)  # It ended before it was ready: the log of the replica has the reason.


@serve.deployment
class Mosara:
    async def __init__(self, command: list[str], flags: list[str]):
        self._server = Server(command, flags)
        self._name = serve.get_replica_context().replica_tag
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._client = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        await self._server.url()

    @serve.multiplexed(max_num_models_per_replica=REMEMBERED_ADAPTERS)
    async def remember(self, adapter: str) -> str:
        """Lets Ray know that this replica has the adapter. mosara loads it when it is needed."""
        return adapter

    async def check_health(self) -> None:
        if not self._server.is_ready:
            raise RuntimeError("mosara is starting")
        async with self._client.get(f"{await self._server.url()}/readyz") as response:
            if response.status != 200:
                raise RuntimeError(await response.text())

    async def __del__(self) -> None:
        await self._server.stop()
        await self._client.close()

    async def __call__(self, request: Request) -> Response:
        adapter = serve.get_multiplexed_model_id()
        if adapter:
            await self.remember(adapter)
        answer = await self._ask(request, await request.body())
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in PER_CONNECTION}
        headers["x-served-by"] = self._name
        return StreamingResponse(bytes_of(answer), answer.status, headers)

    async def _ask(self, request: Request, body: bytes) -> aiohttp.ClientResponse:
        """Asks again while no answer has begun: the server may be restarting."""
        headers = {name: value for name, value in request.headers.items() if name not in PER_CONNECTION}
        query = f"?{request.url.query}" if request.url.query else ""
        for attempt in range(ATTEMPTS):
            url = f"{await self._server.url()}{request.url.path}{query}"
            try:
                return await self._client.request(request.method, url, headers=headers, data=body)
            except aiohttp.ClientConnectionError:
                is_repeatable = request.method == "GET" or request.url.path.startswith("/v1/c")
                if attempt + 1 == ATTEMPTS or not is_repeatable:
                    raise
                await asyncio.sleep(0.2)
        raise AssertionError("the last attempt returns or raises")


async def bytes_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes. A client that leaves closes the connection, and mosara ends the request."""
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


def app(arguments: dict) -> serve.Application:
    """@param arguments `command` (how mosara is started) and `flags` (of mosara serve), as lists"""
    return Mosara.bind(arguments["command"], arguments["flags"])
