"""A response whose connection is gone, on its way over another one (RFC 3261 §18.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pbx.net.addresses import may_send_to

if TYPE_CHECKING:
    from pbx.net.counters import Counters
    from pbx.net.transport import Network
    from pbx.sip.server import ServerTransaction
    from pbx.sip.stack import Flow

__all__ = ["RoutedReply"]

_PORTS: Final = {"TCP": 5060, "TLS": 5061}


class Carrier(Protocol):
    """What is needed of the driver."""

    network: Network
    counters: Counters

    def send_over(self, flow: Flow, data: bytes) -> str:
        """Send bytes; return an empty text, or why they cannot be sent."""

    def send_failed(self, transaction: ServerTransaction, detail: str) -> None:
        """Tell the layer that what a transaction last sent could not be sent."""


class RoutedReply:
    """Waits for the connection that a response goes over (`pbx.net.transport.Connecting`)."""

    __slots__ = ("_carrier", "_data", "_transaction")

    def __init__(self, carrier: Carrier, data: bytes, transaction: ServerTransaction) -> None:
        self._carrier = carrier
        self._data = data
        self._transaction = transaction

    def start(self, flow: Flow) -> None:
        """Find or open a connection in the place of `flow`.

        RFC 3261 §18.2.2: if that connection is no longer open, the server SHOULD open a connection to the IP address in
        the "received" parameter, if present, using the port in the "sent-by" value, or the default port for that
        transport, if no port is specified. A name in sent-by is not looked up: received is there if it is one.
        """
        via = self._transaction.request.top_via
        host = via.received or via.host
        if not may_send_to(host):
            self._fail(f"the connection is gone, and {host} is no address to open another to")
            return
        self._carrier.counters["response_rerouted"] += 1
        name = via.host if via.host != host else ""
        port = via.port or _PORTS.get(via.transport, 5060)
        self._carrier.network.connect(flow.transport, (host, port), name, self)

    def connected(self, flow: Flow) -> None:
        """Send the response."""
        fault = self._carrier.send_over(flow, self._data)
        if fault:
            self._fail(fault)

    def not_connected(self, detail: str) -> None:
        """Take that there is no way."""
        self._fail(detail)

    def _fail(self, detail: str) -> None:
        self._carrier.counters["response_unroutable"] += 1
        self._carrier.send_failed(self._transaction, detail)
