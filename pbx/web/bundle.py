"""One file with all that is known of a call, fit to be sent to somebody who shall find out what went wrong with it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import datetime

__all__ = ["bundle"]

_README = """What Tandem {version} knew of call {call} at {now}.

call.json           the call and its legs: cause, attempts, codecs, counts, quality, recordings
ladder.txt          its SIP messages, in order and in full
trace.pcap          the same for Wireshark and sngrep
decision.txt        which routes were tried, and why each did or did not match, by the dialplan in force at {now}
configuration.yaml  the configuration in force at {now}; what the file leaves out has its default
server.json         the server's state

Passwords, tokens, digest responses and SRTP keys are hidden or crossed out. Numbers, names and addresses are not.
What is missing was not kept any more.
"""


def bundle(call: str, version: str, now: datetime, files: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP file of `files`, those that are empty left out, with a README that says what each is."""
    made = io.BytesIO()
    folder = f"call-{call}"
    moment = now.timetuple()[:6]
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        readme = _README.format(version=version, call=call, now=now.isoformat(timespec="seconds"))
        for name, content in {"README.txt": readme, **files}.items():
            if content:
                archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", moment), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
