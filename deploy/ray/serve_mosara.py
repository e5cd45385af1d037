"""mosara under Ray Serve: each replica owns one `mosara serve`, and passes bytes through.

    serve run deploy/ray/serve.yaml

Ray sends a request to a replica, and reports an error if the replica dies before it answers. So there is an ingress
before the replicas: it sends a request that had not begun to be answered to another replica, and it gives Ray the
adapter's name, so that the same replica gets all requests of this adapter.
docs/how-to/operate/several-replicas.md explains.
"""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from deploy.ray.attempts import AWAY, LOST, Beginning, begin
from deploy.ray.mosara_process import START_SECONDS, MosaraProcess
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import RequestRouterConfig
from ray.serve.exceptions import RayServeException
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

logger = logging.getLogger("ray.serve")

# Headers that belong to one connection (RFC 9110, section 7.6.1), and those that each side computes itself.
PER_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"}
# Response headers that Ray's proxy adds itself.
OF_PROXY = {"date", "server", "x-request-id"}
# Requests that run the model change nothing, so they may be sent again. Others are sent once.
REPEATABLE_POSTS = {
    f"/v1/{path}" for path in ("completions", "chat/completions", "responses", "messages", "embeddings")
}
# A server that is lost.
OF_CONNECTION = (aiohttp.ClientError, OSError)
# Before an answer has begun, an exception of Ray means that the replica was lost. Ray has several for it: of the actor,
# of the request, of an object that it had, and one of Serve where it does not know which actor has died.
OF_RAY = (RayError, RayServeException)


@dataclass(frozen=True)
class Call:
    """A request, as it goes from the ingress to a replica."""

    method: str
    path: str  # with its query
    headers: dict[str, str]
    body: bytes


# Requests of one adapter go to one replica. Ray forgets nothing and learns nothing for it: with
# `serve.multiplexed`, the first requests of an adapter would make it known to several replicas.
@serve.deployment(request_router_config=RequestRouterConfig(request_router_class=ConsistentHashRouter))
class Mosara:
    async def __init__(self, command: list[str], flags: list[str]):
        self._server = MosaraProcess(command, flags)
        self._name = serve.get_replica_context().replica_tag
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0)  # mosara has a queue of its own
        self._client = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False)
        await self._server.until_ready()

    async def check_health(self) -> None:
        """A server that is starting again is no reason to replace the replica, which would take longer."""
        if self._server.url is None:
            if self._server.seconds_away > START_SECONDS:
                raise RuntimeError(f"mosara has not started in {START_SECONDS} s")
            return
        async with self._client.get(f"{self._server.url}/healthz") as response:
            if response.status != 200:
                raise RuntimeError(await response.text())

    async def __del__(self) -> None:
        await self._server.stop()
        await self._client.close()

    async def ask(self, call: Call) -> AsyncIterator[Beginning | bytes | str]:
        """The beginning of the answer, then its further bytes. Instead of them AWAY, if the request was not sent, or LOST.
        @raises aiohttp.ClientError the server was lost within its answer"""
        url = self._server.url
        if url is None:
            yield AWAY
            return
        try:
            answer = await self._client.request(call.method, f"{url}{call.path}", headers=call.headers, data=call.body)
        except OF_CONNECTION as error:
            yield AWAY if isinstance(error, aiohttp.ClientConnectorError) else LOST
            return
        # A client that leaves closes the connection here, and mosara ends the request.
        async with answer:
            pieces = answer.content.iter_any()
            try:
                first = await anext(pieces, b"")
            except OF_CONNECTION:
                yield LOST
                return
            omitted = PER_CONNECTION | OF_PROXY
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in omitted}
            yield Beginning(answer.status, {**headers, "x-served-by": self._name}, first)
            async for piece in pieces:
                yield piece


@serve.deployment
class Ingress:
    def __init__(self, replicas: DeploymentHandle, base: str):
        self._replicas = replicas.options(stream=True, method_name="ask")
        self._base = base

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        headers = {name: value for name, value in request.headers.items() if name not in PER_CONNECTION}
        query = f"?{request.url.query}" if request.url.query else ""
        call = Call(request.method, f"{request.url.path}{query}", headers, body)
        is_repeatable = request.method == "GET" or request.url.path in REPEATABLE_POSTS
        adapter = serve.get_multiplexed_model_id() or adapter_of(body, self._base)
        begun = await begin(lambda key: self._send(call, key), adapter, is_repeatable, was_lost)
        if begun is None:
            return unavailable(is_repeatable)
        beginning, pieces = begun
        return StreamingResponse(bytes_of(beginning, pieces), beginning.status, beginning.headers)

    def _send(self, call: Call, key: str) -> AsyncIterator[Beginning | bytes | str]:
        return self._replicas.options(session_id=key).remote(call)


def was_lost(error: Exception) -> bool:
    """Whether a request that no replica has begun to answer may be sent to another one."""
    if isinstance(error, OF_RAY):
        logger.warning("A replica was lost with a request: %s: %s", type(error).__name__, str(error).splitlines()[:1])
    return isinstance(error, OF_RAY)


def adapter_of(body: bytes, base: str) -> str:
    """The adapter that a body names, without the base's name before it and `@generation` after it; "": none."""
    try:
        fields = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(fields, dict):
        return ""
    name = fields.get("adapter") or fields.get("model")
    # Names of fine-tuned adapters have colons of their own (ft:…), so nothing but the base's name is cut off.
    adapter = name.removeprefix(f"{base}:").partition("@")[0] if isinstance(name, str) else ""
    return "" if adapter == base else adapter


def unavailable(is_repeatable: bool) -> Response:
    """No replica has answered. SDKs repeat a 503. Nobody may repeat a change that may have happened."""
    message = (
        "No server can answer now. Try again."
        if is_repeatable
        else "The server was lost. Find out whether the change has happened before you try again."
    )
    error = {"message": message, "type": "server_error", "param": None, "code": "engine_unavailable"}
    status, headers = (503, {"retry-after": "1"}) if is_repeatable else (502, {"x-should-retry": "false"})
    return JSONResponse({"error": error}, status, headers)


async def bytes_of(beginning: Beginning, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield beginning.bytes
    async for piece in pieces:
        yield piece


def app(arguments: dict) -> serve.Application:
    """@param arguments `command` (how mosara is started) and `flags` (of mosara serve), as lists; `base`, the name that
    the base is served under"""
    return Ingress.bind(Mosara.bind(arguments["command"], arguments["flags"]), arguments["base"])
