"""``pbx call``: a phone on the command line."""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbx.errors import ConfigurationError

if TYPE_CHECKING:
    from pbx.net.trace import Captured
    from pbx.phone.line import Line
    from pbx.phone.notices import Notice
    from pbx.phone.plan import Plan

__all__ = ["register"]


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help=_HELP)(call)


_HELP = "\n\n".join(
    (
        "A phone on the command line: register, call or wait for a call, talk.",
        "TARGET is a number, user@host or a SIP URI. With --wait instead of it the phone waits for a call and answers "
        "it; with neither it only tries the registration. Without --play and --echo it sends silence, as a phone does "
        "whose user says nothing.",
        "Exit status: 0 if the call was answered and ended well, 1 if not, 2 for wrong usage, 130 after Ctrl-C, which "
        "hangs up and removes the registration first.",
        "TLS certificates are verified by the system's authorities; the variable SSL_CERT_FILE names others.",
    )
)


def call(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Whom to call.", show_default=False)] = "",
    server: Annotated[
        str, typer.Option(envvar="SIP_SERVER", metavar="HOST[:PORT]", help="The server; a SIP URI will do.")
    ] = "",
    user: Annotated[str, typer.Option(envvar="SIP_USER", help="Who we are there.")] = "",
    password: Annotated[
        str, typer.Option(envvar="SIP_PASSWORD", help="Better set as a variable: others see the command line.")
    ] = "",
    outbound_proxy: Annotated[
        str,
        typer.Option(
            envvar="SIP_OUTBOUND_PROXY",
            metavar="URI",
            help="Everything goes here first: sip:host:port;transport=tcp;lr",
        ),
    ] = "",
    transport: Annotated[str, typer.Option(metavar="udp|tcp|tls", help="udp, if no address says otherwise.")] = "",
    name: Annotated[str, typer.Option("--from", metavar="NAME", help="The name to show.")] = "",
    no_register: Annotated[bool, typer.Option("--no-register", help="Call without being registered.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Take any TLS certificate.")] = False,
    local_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on; any if left out.", show_default=False)
    ] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a call and answer it.")] = False,
    answer_after: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="Ring for so long first.")] = 0.0,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.0, help="Hang up so long after the answer.")
    ] = None,
    hang_up_after: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="Hang up so long after the call began, answered or not."),
    ] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Send back what is heard.")] = False,
    play: Annotated[Path | None, typer.Option(metavar="FILE", help="Play a WAV file.", show_default=False)] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record what is heard, as a mono WAV.", show_default=False)
    ] = None,
    dtmf: Annotated[str, typer.Option(metavar="KEYS", help="Press keys; a comma waits a second.")] = "",
    codec: Annotated[
        list[str] | None, typer.Option(help="Only these codecs, best first: opus, g722, pcma, pcmu, l16.")
    ] = None,
    srtp: Annotated[bool, typer.Option("--srtp", help="Encrypt the audio, or do not call.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show the SIP messages, without secrets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")] = False,
) -> None:
    """Run the phone."""
    from pbx.phone.keys import split_keys
    from pbx.phone.line import read_line
    from pbx.phone.plan import Plan
    from pbx.phone.run import Settings, run

    line = read_line(
        server=server, user=user, password=password, proxy=outbound_proxy, transport=transport.lower(), name=name
    )
    plan = Plan(
        target=target,
        wait=wait,
        register=not no_register,
        echo=echo,
        play=_readable(play),
        record=_writable(record),
        keys=dtmf,
        answer_after=answer_after,
        duration=duration,
        hang_up_after=hang_up_after,
    )
    split_keys(dtmf)
    _check(line, plan)
    settings = Settings(local_port, not insecure, _codecs(codec or []), srtp)
    printer = _Printer(as_json)
    code = run(line, plan, settings, printer.tell, printer.fault, printer.trace if trace else None)
    printer.ended(code)
    raise typer.Exit(code)


# Usage


def _check(line: Line, plan: Plan) -> None:
    """Refuse what makes no sense, in words."""
    faults = []
    if plan.target and plan.wait:
        faults.append("either call TARGET or --wait for a call, not both")
    if plan.register and line.server is not None and not line.user:
        faults.append(
            "who registers? give --user (SIP_USER) and --password (SIP_PASSWORD), or --no-register to call without"
        )
    if not plan.target and not (plan.register and line.server is not None) and not plan.wait:
        faults.append("nothing to do: give TARGET, --wait, or --server and --user to try a registration")
    if faults:
        raise ConfigurationError(tuple(faults))
    if plan.target:
        line.destination(plan.target, None)


def _codecs(given: list[str]) -> tuple[str, ...]:
    from pbx.media.engine import codec_names

    wanted = [name for text in given for name in text.lower().replace(",", " ").split()]
    known = [name.lower() for name in codec_names()]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigurationError((f"--codec {' '.join(unknown)}: there are {', '.join(known)}",))
    return tuple(wanted)


def _readable(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigurationError((f"--play {path}: {error.strerror}",)) from None
    return str(path.absolute())


def _writable(path: Path | None) -> str:
    if path is None:
        return ""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigurationError((f"--record {path}: there is no folder {folder}",))
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigurationError((f"--record {path}: cannot be written",))
    return str(path.absolute())


# Showing


class _Printer:
    """Prints what happens, each line at once."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json

    def tell(self, notice: Notice) -> None:
        """Print a notice."""
        from pbx.phone.lines import data_of, line_of

        if self._json:
            self._object(data_of(notice))
            return
        word, text = line_of(notice)
        stamp = f"{datetime.now().astimezone():%H:%M:%S.%f}"[:-3]
        print(f"{stamp}  {word} {text}".rstrip(), flush=True)

    def ended(self, code: int) -> None:
        """Print how it ended, for programs; people have read it."""
        if self._json:
            self._object({"event": "exit", "code": code})

    def trace(self, message: Captured) -> None:
        """Print a SIP message without its secrets."""
        from pbx.net.trace import redacted
        from pbx.net.transport import show

        flow = message.flow
        text = redacted(message.data).decode("utf-8", "replace")
        if not text.strip():
            return
        way = "sent to" if message.outgoing else "received from"
        if self._json:
            data = {"sent": message.outgoing, "transport": flow.transport, "peer": show(flow.remote), "message": text}
            self._object({"event": "message", **data})
            return
        lines = "\n".join(f"    | {_visible(each)}" for each in text.rstrip().splitlines())
        print(f"    {way} {flow.transport} {show(flow.remote)}\n{lines}", flush=True)

    def fault(self, where: str, error: BaseException) -> None:
        """Print a bug of ours, whole."""
        print(f"pbx call: a fault of its own in {where}", file=sys.stderr)
        traceback.print_exception(error)

    def _object(self, data: dict[str, object]) -> None:
        print(json.dumps({"time": datetime.now().astimezone().isoformat(timespec="milliseconds"), **data}), flush=True)


def _visible(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\t" else "\N{REPLACEMENT CHARACTER}" for one in text)
