"""Certificates of signed calls, fetched by HTTPS in threads and kept for a while (RFC 8224 §7).

Whoever calls chooses the URL, so as little as possible is believed and given: HTTPS alone, no redirection, no address
that is not public, 64 KiB, and a few seconds.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["CertificateFetcher", "FetchError", "download", "lifetime"]

_LARGEST = 64 * 1024
_MOST_KEPT = 256
_MOST_RUNNING = 32
_THREADS = 4
_SHORTEST, _USUAL, _LONGEST = 60, 3600, 86_400
_AFTER_FAILURE = 10
"""Seconds that a URL which gave nothing is left alone."""
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)

Networks = tuple[IPv4Network | IPv6Network, ...]


class FetchError(Exception):
    """Why there is no certificate."""


def lifetime(cache_control: str) -> float:
    """Return for how many seconds an answer is kept: its max-age, between a minute and a day; an hour if it says
    nothing."""
    if "no-store" in cache_control.lower() or "no-cache" in cache_control.lower():
        return _SHORTEST
    found = _MAX_AGE.search(cache_control)
    return max(_SHORTEST, min(_LONGEST, int(found[1]))) if found else _USUAL


def _addresses_of(host: str, port: int, allowed: Networks) -> list[str]:
    """Return the addresses of a host; FetchError if one of them is not public and not allowed."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise FetchError(f"{host} has no address: {error}") from error
    for text in found:
        address = ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        private = not address.is_global or address.is_multicast
        if private and not any(address in network for network in allowed if network.version == address.version):
            raise FetchError(f"{host} has an address that is not public")
    return found


def download(url: str, timeout: float, allowed: Networks, context: ssl.SSLContext) -> tuple[bytes, float]:
    """Return what is at a URL, and for how many seconds it may be kept; all of it within `timeout` seconds, besides
    looking up the name. Raises FetchError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port or 443
    except ValueError:
        raise FetchError("its URL has no port that can be used") from None
    if parts.scheme.lower() != "https" or not host or parts.username is not None:
        raise FetchError("its URL is not one of HTTPS")
    address = _addresses_of(host, port, allowed)[0]
    # To the very address that was looked at: a name that leads elsewhere when it is asked again gains nothing.
    bracketed = f"[{address}]" if ":" in address else address
    target = f"https://{bracketed}:{port}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return asyncio.run(_get(target, host, parts.netloc, timeout, context))


async def _get(target: str, host: str, netloc: str, timeout: float, context: ssl.SSLContext) -> tuple[bytes, float]:
    """Ask for a URL. In a loop of its own, since a blocking client only bounds each read: a host that sends an octet a
    second would hold a thread for hours."""
    import httpx  # here, since it costs memory that servers without signed calls need not give

    headers = {"Host": netloc, "Accept": "application/pem-certificate-chain, */*"}
    data = bytearray()
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(verify=context, timeout=timeout, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as response,
        ):
            if response.status_code != 200:
                raise FetchError(f"its host answers {response.status_code}")
            async for piece in response.aiter_raw():
                data += piece
                if len(data) > _LARGEST:
                    raise FetchError("what its URL gives is longer than 64 KiB")
            return bytes(data), lifetime(response.headers.get("Cache-Control", ""))
    except TimeoutError:
        raise FetchError("its host is too slow") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(f"its host cannot be asked: {type(error).__name__}") from error


class CertificateFetcher:
    """Implements `pbx.trunks.verification.Fetch`. `call_soon` runs something on the loop, from any thread."""

    def __init__(
        self,
        now: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        *,
        timeout: float = 2.0,
        allowed: Networks = (),
        authorities: Path | None = None,
        load: Callable[[str, float, Networks, ssl.SSLContext], tuple[bytes, float]] = download,
    ) -> None:
        """Check the hosts' own certificates against `authorities`, those of the system if that is None."""
        self._now = now
        self._call_soon = call_soon
        self._timeout = timeout
        self._allowed = allowed
        self._context = ssl.create_default_context(cafile=str(authorities) if authorities is not None else None)
        self._load = load
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="certificates")
        self._kept: OrderedDict[str, tuple[float, bytes | str]] = OrderedDict()
        self._running: dict[str, list[Callable[[bytes | str], None]]] = {}
        self._stopped = threading.Event()
        self.fetched = 0
        self.failed = 0

    def __call__(self, url: str, done: Callable[[bytes | str], None]) -> None:
        """Get a chain: one that is kept at once, else when it has come."""
        until, known = self._kept.get(url, (0.0, b""))
        if until > self._now():
            self._kept.move_to_end(url)
            done(known)
        elif url in self._running:
            self._running[url].append(done)
        elif len(self._running) >= _MOST_RUNNING:
            done("too many certificates are being fetched")
        else:
            self._running[url] = [done]
            future = self._threads.submit(self._load, url, self._timeout, self._allowed, self._context)
            future.add_done_callback(lambda future: self._come(url, future))

    def _come(self, url: str, future: Future[tuple[bytes, float]]) -> None:
        if not self._stopped.is_set():
            self._call_soon(lambda: self._take(url, future))

    def _take(self, url: str, future: Future[tuple[bytes, float]]) -> None:
        if self._stopped.is_set():
            return
        found: bytes | str
        try:
            found, seconds = future.result()
            self.fetched += 1
        except FetchError as error:
            found, seconds = str(error), _AFTER_FAILURE
            self.failed += 1
        except Exception as error:  # noqa: BLE001  # whatever a stranger's server brings about ends one fetch alone
            found, seconds = f"it could not be fetched: {type(error).__name__}", _AFTER_FAILURE
            self.failed += 1
        self._kept[url] = self._now() + seconds, found
        self._kept.move_to_end(url)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        for done in self._running.pop(url):
            done(found)

    def stop(self) -> None:
        """End; nobody is told any more."""
        self._stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
