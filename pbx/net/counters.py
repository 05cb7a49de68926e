"""Counts of what the transports and the driver did, for the metrics; every drop adds to one of them."""

from __future__ import annotations

__all__ = ["COUNTERS", "Counters"]

COUNTERS: dict[str, str] = {
    "udp_received": "datagrams read",
    "udp_sent": "datagrams handed to the kernel",
    "udp_keep_alives": "CRLF and other keep-alive datagrams received",
    "udp_stun": "STUN binding requests answered (RFC 5626 §8)",
    "udp_oddities": "datagrams too short or too strange to be SIP, dropped",
    "udp_send_full": "datagrams dropped because the send buffer was full; SIP retransmits",
    "udp_send_failed": "datagrams that the kernel refused to send",
    "udp_read_failed": "errors of reading other than ICMP",
    "udp_icmp": "ICMP errors that told of an unreachable peer",
    "udp_icmp_ignored": "ICMP errors that mean nothing for a transaction (RFC 3261 §18.4)",
    "udp_buffer_short": "socket buffers that the kernel made smaller than asked for",
    "stream_accepted": "connections accepted",
    "stream_opened": "connections made",
    "stream_open_failed": "connections that could not be made, or whose certificate was refused",
    "stream_closed": "connections closed, whoever did it",
    "stream_received": "messages read from connections",
    "stream_sent": "messages written to connections",
    "stream_pings": "keep-alives answered",
    "stream_refused_total": "connections refused: too many in total",
    "stream_refused_source": "connections refused: too many from one address",
    "stream_refused_banned": "connections refused: their address is banned or blocked",
    "stream_evicted_half_open": "connections closed early because too many others had said nothing yet",
    "stream_half_open": "connections closed because no message or TLS handshake was completed in time",
    "stream_stalled_message": "connections closed in the middle of a message that never ended",
    "stream_idle": "connections closed because nothing came or went",
    "stream_no_pong": "connections closed because a peer that used to answer keep-alives no longer did",
    "stream_slow_peer": "connections closed because the peer did not read",
    "stream_framing": "connections closed because of bytes that cannot be framed",
    "stream_tls_failed": "TLS handshakes that failed on accepted connections",
    "keep_alives_sent": "keep-alives sent",
    "refused": "messages dropped by the gate before they were parsed",
    "request_unroutable": "requests whose next hop could not be resolved or reached",
    "ack_failed": "ACKs that could not be sent",
    "response_rerouted": "responses sent another way because their connection was gone",
    "response_unroutable": "responses that no allowed way leads to",
    "user_errors": "exceptions of a handler or transaction user, contained",
    "flow_gone": "messages for a flow that is no longer there",
}
"""Every counter there is and what it counts."""


class Counters(dict[str, int]):
    """One integer a name; all names of `COUNTERS` are there from the start, so that metrics begin at zero."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COUNTERS, 0))
