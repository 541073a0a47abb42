"""How does one HTTP request to an endpoint go, and what can happen to it on the way?

Call `Transport.exchange`. HTTP is spoken through aiohttp: with 64 requests in flight it takes 0.4 ms of CPU
a request and the openai package 3.1 ms, with 512 0.3 and 4.9 ms, as its pool looks at every connection each
time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from util.engines.keys import Key
from util.engines.openai_addresses import shown_url
from util.engines.openai_dispatch import Endpoint
from util.engines.openai_replies import Kind, Trouble
from util.engines.openai_streams import StreamedReply, is_stream
from util.errors import UserError

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 3.0  # less than servers keep idle connections (uvicorn: 5 s), so that none closes as we send
STALE_S = 1.0  # within so long a kept connection shows that the server had closed it
EXHAUSTED_S = 1.0  # how long nothing is sent where this machine can open no more connections
# What this machine lacks for one more connection; the endpoint is asked less and goes on.
EXHAUSTED = {
    errno.EADDRNOTAVAIL: "this machine has no free port for one more connection to it: fewer are used; for "
    "more, widen net.ipv4.ip_local_port_range or give several addresses after --api-base",
    errno.EMFILE: "this process may open no more files: fewer connections are used; raise ulimit -n",
    errno.ENFILE: "this machine can open no more files: fewer connections are used",
    errno.ENOBUFS: "this machine has no memory for one more connection: fewer are used",
}
OTHER_FILES = 256  # that may be open beside connections: journals, graders, libraries
# What OpenSSL says when the other side does not speak TLS.
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
MOST_REPLY_BYTES = 256 * 2**20
# What may wait to be read, so that a server that streams faster than is read to thousands is held up.
RECEIVE_BYTES = 32 * 1024
SILENCE_S = 300.0  # a stream that has begun to speak and says nothing for so long is torn


@dataclass(frozen=True)
class Reply:
    """An HTTP reply of whatever status; of a stream that was torn, what came of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    streamed: StreamedReply | None = None  # instead of a body


class Transport:
    """Connections to endpoints, for use inside one event loop."""

    def __init__(self, *, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._is_kept: ContextVar[bool] = ContextVar("is_kept")  # whether a task's connection was used before

    async def open(self) -> None:
        """Make ready."""
        import aiohttp

        is_kept, used = self._is_kept, weakref.WeakSet[aiohttp.client_proto.ResponseHandler]()

        class Connector(aiohttp.TCPConnector):
            """Leaves a kept connection on which more came than was asked for."""

            async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
                while True:
                    connection = await super().connect(*args, **kwargs)
                    protocol = connection.protocol
                    assert protocol is not None, "a connection that was just opened"
                    if not protocol.should_close:
                        is_kept.set(protocol in used)
                        used.add(protocol)
                        return connection
                    connection.close()

        self._session = aiohttp.ClientSession(
            connector=Connector(limit=0, keepalive_timeout=KEEP_ALIVE_S, socket_factory=_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._session.close()

    async def exchange(
        self,
        endpoint: Endpoint,
        key: Key,
        path: str,
        body: bytes | None,
        timeout_s: float,
        streamed: StreamedReply | None = None,
    ) -> Reply | Trouble:
        """One HTTP request (POST with a body, else GET) and its whole reply, or why there is none.

        A reply that comes as a stream, asked for or not, is fed into `streamed`, which may hang up. Raises
        UserError for a certificate that is not trusted.
        """
        started = asyncio.get_running_loop().time()
        streamed = streamed or StreamedReply()
        reply = await self._once(endpoint, key, path, body, timeout_s, streamed)
        while isinstance(reply, Trouble) and reply.is_stale:  # each time one such connection is used up
            reply = await self._once(endpoint, key, path, body, timeout_s, streamed)
        if not isinstance(reply, Trouble):
            return reply
        if streamed.is_whole:  # only its end was lost
            return Reply(200, {}, b"", streamed)
        silent_s = asyncio.get_running_loop().time() - started
        return replace(reply, heard=streamed.heard, silent_s=0.0 if streamed.heard else silent_s)

    async def _once(
        self,
        endpoint: Endpoint,
        key: Key,
        path: str,
        body: bytes | None,
        timeout_s: float,
        streamed: StreamedReply,
    ) -> Reply | Trouble:
        import aiohttp

        started, is_answered = asyncio.get_running_loop().time(), False
        self._is_kept.set(False)
        headers = {"Authorization": f"Bearer {key.secret}"} if key.secret else {}
        headers.update(endpoint.address.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                endpoint.address.at(path),
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=endpoint.proxy,
                read_bufsize=RECEIVE_BYTES,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                is_answered = True
                content = await self._read(response, streamed)
                if content is None:
                    return Reply(200, response.headers, b"", streamed)
                if response.status != 200:
                    content = _scrubbed(content, endpoint, key)
                return Reply(response.status, response.headers, content)
        except aiohttp.ClientConnectorCertificateError as error:
            raise UserError(
                f"{endpoint.url} has a certificate that is not trusted ({error.certificate_error}): name the "
                "file of the authority that signed it, or of the certificate itself, in SSL_CERT_FILE"
            ) from error
        except aiohttp.ClientConnectorDNSError as error:
            known = error.os_error.errno != socket.EAI_NONAME
            return Trouble(Kind.AWAY if known else Kind.NO_HOST, f"the name {error.host!r} is not resolved")
        except aiohttp.ClientHttpProxyError as error:
            return Trouble(Kind.AWAY, f"{_the_proxy(endpoint)} refuses with HTTP {error.status}")
        except aiohttp.ClientConnectorSSLError as error:
            if getattr(error.os_error, "reason", "") in NOT_TLS:
                return Trouble(Kind.NO_HOST, "it does not speak https: give http:// instead")
            return Trouble(Kind.AWAY, f"no secure connection ({_reason(error)})")
        except aiohttp.ClientConnectorError as error:
            lacking = EXHAUSTED.get(error.os_error.errno or 0)
            if lacking is not None:
                return Trouble(Kind.BUSY, lacking, wait_s=EXHAUSTED_S)
            if isinstance(error, aiohttp.ClientProxyConnectionError):
                return Trouble(Kind.AWAY, f"{_the_proxy(endpoint)} cannot be reached: {_reason(error)}")
            return Trouble(Kind.AWAY, _reason(error))
        except aiohttp.ConnectionTimeoutError:
            return Trouble(Kind.AWAY, f"no connection within {CONNECT_TIMEOUT_S:g} s")
        except TimeoutError:
            if streamed.heard_any and asyncio.get_running_loop().time() - started < timeout_s:
                return Trouble(Kind.BROKEN, f"the stream said nothing for {self._silence_s:g} s")
            return Trouble(Kind.SLOW, f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, ConnectionError) as error:
            words = endpoint.address.scrubbed(str(error))
            was_brief = asyncio.get_running_loop().time() - started < STALE_S
            is_stale = self._is_kept.get() and was_brief and not is_answered
            words = f"the connection broke ({type(error).__name__}: {words})"
            return Trouble(Kind.BROKEN, words, is_stale=is_stale)

    async def _read(self, response: aiohttp.ClientResponse, streamed: StreamedReply) -> bytes | None:
        """The reply's body, or None once a stream is read; one that never ends is broken off."""
        import aiohttp

        body, size, comes_as_stream = bytearray(), 0, None if response.status == 200 else False
        clock, renewed_at = asyncio.get_running_loop().time, float("-inf")
        async with asyncio.timeout(None) as silence:
            async for piece in response.content.iter_any():
                size += len(piece)
                if size > MOST_REPLY_BYTES:
                    raise aiohttp.ClientPayloadError(f"the reply is longer than {MOST_REPLY_BYTES} bytes")
                if not comes_as_stream:
                    body += piece
                    if comes_as_stream is None:
                        comes_as_stream = is_stream(bytes(body[:100]))
                    if not comes_as_stream:
                        continue
                    piece = bytes(body)
                streamed.feed(piece)
                if streamed.is_ended:
                    response.close()
                    return None
                # A timer costs as much as a token: it is set late enough to serve for some time.
                if streamed.heard_any and clock() >= renewed_at + self._silence_s / 16:
                    renewed_at = clock()
                    silence.reschedule(renewed_at + self._silence_s * 17 / 16)
        if not comes_as_stream:
            return bytes(body)
        streamed.end()
        return None


def _scrubbed(content: bytes, endpoint: Endpoint, key: Key) -> bytes:
    """A reply that may repeat what it refuses, without keys, passwords and headers."""
    if key.secret:
        content = content.replace(key.secret.encode(), key.tail.encode())
    if not endpoint.address.secrets:
        return content
    return endpoint.address.scrubbed(content.decode("utf-8", "surrogateescape")).encode(
        "utf-8", "surrogateescape"
    )


def _the_proxy(endpoint: Endpoint) -> str:
    return f"the proxy {shown_url(endpoint.proxy or '')} that the environment names"


def _reason(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    if cause.errno and cause.errno > 1:  # asyncio puts words of its own in place of the system's
        return os.strerror(cause.errno)
    return cause.strerror or str(error)


def _socket(address: tuple) -> socket.socket:
    """A socket that notices within minutes that the other machine is gone, however long the answer takes."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def most_open_files() -> int:
    """How many files this process may have open."""
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def allow_connections(wanted: int) -> int:
    """Raise this process's limit of open files for so many connections; returns how many it may have."""
    try:
        import resource
    except ImportError:  # not on Windows
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else max(soft, min(needed, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(1, soft - OTHER_FILES))
