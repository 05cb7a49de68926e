"""Writes session descriptions, in the order of lines that RFC 8866 §5 prescribes."""

from __future__ import annotations

from pbx.sdp.model import Connection, MediaDescription, SessionDescription

__all__ = ["to_bytes"]


def to_bytes(description: SessionDescription) -> bytes:
    """Return the body; lines end in CRLF. Bytes that were no UTF-8 when parsed come out as they went in."""
    origin = description.origin
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.version} {origin.network} {origin.family} {origin.address}",
        # RFC 8866 §5.3: the "s=" line MUST NOT be empty; without a name, "s= " or "s=-" is recommended.
        f"s={description.name or '-'}",
    ]
    if description.information:
        lines.append(f"i={description.information}")
    if description.uri:
        lines.append(f"u={description.uri}")
    lines += [f"e={email}" for email in description.emails]
    lines += [f"p={phone}" for phone in description.phones]
    if description.connection:
        lines.append(_connection(description.connection))
    lines += [f"b={modifier}:{value}" for modifier, value in description.bandwidths]
    for time in description.times:
        lines.append(f"t={time.start} {time.stop}")
        lines += [f"r={repeat}" for repeat in time.repeats]
    if description.zone:
        lines.append(f"z={description.zone}")
    if description.key:
        lines.append(f"k={description.key}")
    for name, value in description.attributes:
        lines.append(f"a={name}" if value is None else f"a={name}:{value}")
    for media in description.media:
        _write_media(media, lines)
    lines.append("")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _write_media(media: MediaDescription, lines: list[str]) -> None:
    port = str(media.port) if media.port_count == 1 else f"{media.port}/{media.port_count}"
    lines.append(" ".join(("m=" + media.kind, port, media.protocol, *media.formats)))
    if media.information:
        lines.append(f"i={media.information}")
    if media.connection:
        lines.append(_connection(media.connection))
    lines += [f"b={modifier}:{value}" for modifier, value in media.bandwidths]
    if media.key:
        lines.append(f"k={media.key}")
    for name, value in media.attributes:
        lines.append(f"a={name}" if value is None else f"a={name}:{value}")


def _connection(connection: Connection) -> str:
    return f"c={connection.network} {connection.family} {connection.address}{connection.suffix}"
