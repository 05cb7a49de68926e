"""SRTP written down a second time, from RFC 3711, RFC 6188 and RFC 7714: the phone's end in tests of the engine's."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["SIZES", "TAGS", "SecuredPhone", "Srtp", "aes_cm", "derive"]

from tests.support.desk import Heard, Phone

SIZES = {
    "AES_CM_128_HMAC_SHA1_80": (16, 14),
    "AES_CM_128_HMAC_SHA1_32": (16, 14),
    "AES_256_CM_HMAC_SHA1_80": (32, 14),
    "AES_256_CM_HMAC_SHA1_32": (32, 14),
    "AEAD_AES_128_GCM": (16, 12),
    "AEAD_AES_256_GCM": (32, 12),
}
"""Octets of master key and master salt."""

TAGS = {suite: 16 if "GCM" in suite else 4 if suite.endswith("32") else 10 for suite in SIZES}
"""Octets that each suite adds to an RTP packet."""


def aes_cm(key: bytes, iv: int, length: int) -> bytes:
    """Return the keystream of AES in counter mode (RFC 3711 §4.1.1)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(length))


def derive(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """Return a session key (RFC 3711 §4.3.1); a short salt has zeroes behind it (RFC 7714 §11)."""
    wide = int.from_bytes(salt.ljust(14, b"\0"), "big")
    return aes_cm(key, (wide ^ label << 48) << 16, length)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _header(packet: bytes) -> int:
    size = 12 + 4 * (packet[0] & 15)
    return size + 4 + 4 * int.from_bytes(packet[size + 2 : size + 4], "big") if packet[0] & 0x10 else size


class _Transform:
    """What protects one kind of packet with the session keys of `label` and the two after it."""

    def __init__(self, suite: str, master: bytes, label: int, tag: int) -> None:
        key_size, salt_size = SIZES[suite]
        key, salt = master[:key_size], master[key_size:]
        self.aead = "GCM" in suite
        self.key = derive(key, salt, label, key_size)
        self.mac = derive(key, salt, label + 1, 20)
        self.salt = derive(key, salt, label + 2, salt_size)
        self.tag = tag

    def keystream(self, ssrc: int, index: int, length: int) -> bytes:
        return aes_cm(self.key, int.from_bytes(self.salt, "big") << 16 ^ ssrc << 64 ^ index << 16, length)

    def sign(self, data: bytes) -> bytes:
        return hmac.new(self.mac, data, hashlib.sha1).digest()[: self.tag]

    def iv(self, ssrc: int, index: int) -> bytes:
        return _xor((ssrc << 48 | index).to_bytes(12, "big"), self.salt)


class Srtp:
    """One direction under one key: protects, or takes protection off. ValueError is raised for a bad packet."""

    def __init__(self, suite: str, master: bytes, mki: bytes = b"") -> None:
        self.rtp = _Transform(suite, master, 0, 4 if suite.endswith("32") else 10)
        self.rtcp = _Transform(suite, master, 3, 10)
        self.mki = mki
        self.roc: dict[int, tuple[int, int]] = {}
        """By SSRC: the count of wraps, and the highest sequence number under it."""
        self.rtcp_index = 0

    def _index(self, packet: bytes) -> tuple[int, int]:
        """Return SSRC and packet index; RFC 3711 appendix A."""
        sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        roc, highest = self.roc.get(ssrc, (0, sequence))
        if sequence - highest < -32768:
            roc += 1
        elif sequence - highest > 32768 and roc:
            return ssrc, (roc - 1) << 16 | sequence
        self.roc[ssrc] = (roc, sequence if roc != self.roc.get(ssrc, (0, 0))[0] else max(highest, sequence))
        return ssrc, roc << 16 | sequence

    def protect(self, packet: bytes) -> bytes:
        ssrc, index = self._index(packet)
        start, transform = _header(packet), self.rtp
        header, payload = packet[:start], packet[start:]
        if transform.aead:
            return header + AESGCM(transform.key).encrypt(transform.iv(ssrc, index), payload, header) + self.mki
        body = header + _xor(payload, transform.keystream(ssrc, index, len(payload)))
        return body + self.mki + transform.sign(body + (index >> 16).to_bytes(4, "big"))

    def unprotect(self, packet: bytes) -> bytes:
        ssrc, index = self._index(packet)
        start, transform = _header(packet), self.rtp
        header, body = packet[:start], packet[start:]
        if transform.aead:
            try:
                return header + AESGCM(transform.key).decrypt(transform.iv(ssrc, index), body, header)
            except Exception as error:
                raise ValueError("not authentic") from error
        body, tag = body[: -transform.tag], body[-transform.tag :]
        if tag != transform.sign(header + body + (index >> 16).to_bytes(4, "big")):
            raise ValueError("not authentic")
        return header + _xor(body, transform.keystream(ssrc, index, len(body)))

    def protect_rtcp(self, packet: bytes) -> bytes:
        self.rtcp_index += 1
        ssrc, word = int.from_bytes(packet[4:8], "big"), (1 << 31 | self.rtcp_index).to_bytes(4, "big")
        header, body, transform = packet[:8], packet[8:], self.rtcp
        if transform.aead:
            iv = transform.iv(ssrc, self.rtcp_index)
            return header + AESGCM(transform.key).encrypt(iv, body, header + word) + word + self.mki
        sealed = header + _xor(body, transform.keystream(ssrc, self.rtcp_index, len(body))) + word
        return sealed + self.mki + transform.sign(sealed)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        ssrc, header, transform = int.from_bytes(packet[4:8], "big"), packet[:8], self.rtcp
        if transform.aead:
            body, word = packet[8:-4], packet[-4:]
            index = int.from_bytes(word, "big") & 0x7FFFFFFF
            return header + AESGCM(transform.key).decrypt(transform.iv(ssrc, index), body, header + word)
        sealed, tag = packet[: -transform.tag], packet[-transform.tag :]
        if tag != transform.sign(sealed):
            raise ValueError("not authentic")
        index = int.from_bytes(sealed[-4:], "big") & 0x7FFFFFFF
        return header + _xor(sealed[8:-4], transform.keystream(ssrc, index, len(sealed) - 12))


class SecuredPhone:
    """A `Phone` whose packets are SRTP; `ours` protects what it sends, `theirs` opens what it hears."""

    def __init__(self, phone: Phone, ours: Srtp, theirs: Srtp) -> None:
        self.phone, self.ours, self.theirs = phone, ours, theirs

    def send(self, payload: bytes, payload_type: int = 0, *, marker: bool = False) -> bytes:
        """Send the next packet and return it as it went."""
        phone = self.phone
        sent = self.ours.protect(phone.packet(payload, payload_type, marker=marker))
        phone.send_raw(sent)
        phone.sequence += 1
        phone.timestamp += len(payload)
        return sent

    def opened(self, heard: Heard) -> bytes:
        """Return the payload of a packet that was heard."""
        header = bytes((0x80, heard.marker << 7 | heard.payload_type)) + heard.sequence.to_bytes(2, "big")
        header += heard.timestamp.to_bytes(4, "big") + heard.ssrc.to_bytes(4, "big")
        return self.theirs.unprotect(header + heard.payload)[12:]

    def hear(self, patience: float = 5.0) -> bytes:
        """Return the payload of the next packet. Raises ValueError for one that does not open."""
        return self.opened(self.phone.hear(patience))

    def hear_all(self, quiet: float = 0.15) -> list[bytes]:
        return [self.opened(heard) for heard in self.phone.hear_all(quiet)]
