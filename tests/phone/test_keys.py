"""Keys as users write them, and as INFO carries them."""

from __future__ import annotations

import pytest

from pbx.errors import ConfigurationError
from pbx.phone.keys import KEY_SECONDS, split_keys
from pbx.sip.ext.key_info import INFO_TYPE, info_body, key_in


def test_pauses_divide_keys() -> None:
    assert split_keys("") == []
    assert split_keys("12") == [(0.0, "12")]
    assert split_keys("1a,,*#") == [(0.0, "1A"), (pytest.approx(2 * KEY_SECONDS + 2), "*#")]
    assert split_keys(",5") == [(1.0, "5")]


@pytest.mark.parametrize("text", ["12x", "1 2", "E", "1\n"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--dtmf"):
        split_keys(text)


@pytest.mark.parametrize("key", list("0123456789*#ABCD"))
def test_our_own_info_is_understood(key: str) -> None:
    assert key_in(INFO_TYPE, info_body(key)) == (key, 160)


@pytest.mark.parametrize(
    ("kind", "body", "pressed"),
    [
        ("application/dtmf-relay", b"Signal= 5\r\nDuration= 250\r\n", ("5", 250)),
        ("Application/DTMF-Relay; x=y", b"signal=11\nduration=100", ("#", 100)),
        ("application/dtmf-relay", b"Signal=d", ("D", 160)),
        ("application/dtmf-relay", b"Duration=100", None),
        ("application/dtmf-relay", b"Signal=hello", None),
        ("application/dtmf", b" 7\r\n", ("7", 160)),
        ("application/dtmf", b"10", ("*", 160)),
        ("application/dtmf", b"", None),
        ("application/dtmf", b"\xff\xfe", None),
        ("text/plain", b"5", None),
        ("", b"5", None),
    ],
)
def test_infos_of_others(kind: str, body: bytes, pressed: tuple[str, int] | None) -> None:
    assert key_in(kind, body) == pressed
