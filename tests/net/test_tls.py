"""TLS over real loopback sockets: certificates made, loaded, reloaded, checked."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from pbx.errors import EnvironmentFault
from pbx.net.certificates import ensure_certificate, is_for, names_of
from pbx.net.counters import Counters
from pbx.net.network import RealNetwork
from pbx.net.stream_limits import StreamLimits
from pbx.net.tls import Tls, TlsSettings, Verification
from pbx.net.transport import Address, Listener
from pbx.sip.stack import Flow
from tests.support.loopback import Heard, Waiting, World

OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
NOW = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


class TlsPhone:
    """A TLS client (or server side) of Python's ssl module, in steps so that one thread serves both ends."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server: bool = False, name: str = "") -> None:
        sock.setblocking(False)
        self.tls = context.wrap_socket(
            sock,
            server_side=server,
            server_hostname=name or None,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=True,
        )
        self.up = False
        self.error: Exception | None = None
        self.got = b""
        self.ended = False

    def step(self) -> bool:
        """Do what can be done; return whether the handshake is over, well or not."""
        try:
            if not self.up:
                self.tls.do_handshake()
                self.up = True
            data = self.tls.recv(65536)
            self.got += data
            self.ended = self.ended or not data
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self.error = error
            self.ended = True
        return self.up or self.ended


class Bench:
    def __init__(self, world: World, counters: Counters, heard: Heard, folder: Path) -> None:
        self.world, self.counters, self.heard, self.folder = world, counters, heard, folder
        self.closers: list[Callable[[], object]] = []

    def certificate(self, name: str, *hosts: str) -> tuple[Path, Path]:
        return ensure_certificate(self.folder / name, hosts[0], hosts[1:], NOW)

    def network(
        self, settings: TlsSettings, host: str = "127.0.0.1", limits: StreamLimits | None = None
    ) -> tuple[RealNetwork, Address]:
        network = RealNetwork(
            self.world.reactor,
            self.world.clock,
            [Listener("tls", host, 0)],
            self.counters,
            tls=Tls(settings),
            limits=limits,
        )
        self.closers.append(network.stop)
        network.start(self.heard)
        return network, network.listening[0][1]

    def phone(self, address: Address, context: ssl.SSLContext, name: str = "") -> TlsPhone:
        phone = TlsPhone(socket.create_connection(address, 2.0), context, name=name)
        self.closers.append(phone.tls.close)
        self.world.until(phone.step)
        return phone

    def server(self, certificate: tuple[Path, Path], authorities: Path | None = None) -> tuple[Address, list[TlsPhone]]:
        """Accept TLS connections in the background of every wait."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if authorities is not None:
            context.load_verify_locations(authorities)
            context.verify_mode = ssl.CERT_REQUIRED
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.closers.append(listening.close)
        accepted: list[TlsPhone] = []

        def step() -> None:
            if listening.fileno() < 0:
                return
            try:
                accepted.append(TlsPhone(listening.accept()[0], context, server=True))
                self.closers.append(accepted[-1].tls.close)
            except BlockingIOError:
                pass
            for phone in accepted:
                if not phone.ended and phone.tls.fileno() >= 0:
                    phone.step()
            self.world.loop.call_later(0.002, step)

        step()
        return listening.getsockname(), accepted

    def connects(self, network: RealNetwork, remote: Address, name: str) -> Waiting:
        waiting = Waiting()
        network.connect("tls", remote, name, waiting)
        self.world.until(lambda: waiting.done)
        return waiting

    def flow(self) -> Flow:
        self.world.until(lambda: self.heard.messages)
        return self.heard.messages[-1][1]


@pytest.fixture
def bench(world: World, counters: Counters, heard: Heard, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(world, counters, heard, tmp_path)
    yield bench
    for close in bench.closers:
        close()
    world.run(0.02)


def trusting(*certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context


# The certificate of the first start


def test_a_certificate_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    certificate, key = ensure_certificate(folder, "pbx.example.com", ["192.0.2.1", "2001:db8::1", ""], NOW)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    assert names_of(loaded) == ("pbx.example.com", "192.0.2.1", "2001:db8::1")
    assert loaded.not_valid_before_utc < NOW < loaded.not_valid_after_utc
    before = certificate.read_bytes(), key.read_bytes()
    assert ensure_certificate(folder, "other.example.com", [], NOW) == (certificate, key)
    assert before == (certificate.read_bytes(), key.read_bytes())
    assert sorted(path.name for path in folder.iterdir()) == ["tls-certificate.pem", "tls-key.pem"]


def test_half_a_certificate_is_a_fault(tmp_path: Path) -> None:
    _, key = ensure_certificate(tmp_path, "pbx.example.com", [], NOW)
    key.unlink()
    with pytest.raises(EnvironmentFault, match=r"tls-certificate\.pem is there but .*tls-key\.pem is not"):
        ensure_certificate(tmp_path, "pbx.example.com", [], NOW)


def test_an_unwritable_folder_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="no certificate can be written"):
        ensure_certificate(tmp_path / "file", "pbx.example.com", [], NOW)


@pytest.mark.parametrize(
    ("names", "host", "good"),
    [
        (("carrier.example",), "carrier.example", True),
        (("carrier.example",), "CARRIER.example.", True),
        (("carrier.example",), "sip.carrier.example", False),
        (("*.carrier.example",), "sip.carrier.example", True),
        (("*.carrier.example",), "a.sip.carrier.example", False),
        (("*.carrier.example",), "carrier.example", False),
        (("*.example",), "carrier.example", False),
        (("192.0.2.1",), "192.0.2.1", True),
        (("2001:db8::1",), "2001:DB8:0::1", True),
        (("*.0.2.1",), "192.0.2.1", False),
        ((), "carrier.example", False),
    ],
)
def test_whom_a_certificate_is_for(names: tuple[str, ...], host: str, good: bool) -> None:
    assert is_for(names, host) is good


# Accepting


@HOSTS
def test_receives_and_answers_over_tls(bench: Bench, host: str) -> None:
    certificate, key = bench.certificate("own", "localhost", host)
    network, address = bench.network(TlsSettings(certificate, key), host)
    phone = bench.phone(address, trusting(certificate), host)
    assert phone.up
    assert phone.tls.version() in ("TLSv1.2", "TLSv1.3")
    phone.tls.sendall(OPTIONS)
    flow = bench.flow()
    assert (flow.transport, flow.secure, flow.remote[0]) == ("tls", True, host)
    assert network.send(flow, b"\r\n\r\n") == ""
    bench.world.until(lambda: phone.step() and len(phone.got) == 4)
    assert network.peer_names(flow) == ()


def test_tls_1_1_is_refused(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "localhost")
    _, address = bench.network(TlsSettings(certificate, key))
    context = trusting(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    phone = bench.phone(address, context, "localhost")
    assert not phone.up
    bench.world.until(lambda: bench.counters["stream_tls_failed"] == 1)


def test_a_handshake_that_never_ends_is_cut_off(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "localhost")
    _, address = bench.network(TlsSettings(certificate, key), limits=StreamLimits(handshake=0.3))
    with socket.create_connection(address, 2.0) as phone:
        phone.sendall(b"\x16\x03\x01\x02\x00")
        bench.world.until(lambda: bench.counters["stream_half_open"] == 1)
    assert bench.heard.gone == []
    assert bench.counters["stream_tls_failed"] == 1


def test_garbage_in_the_place_of_a_handshake_is_counted(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "localhost")
    _, address = bench.network(TlsSettings(certificate, key))
    with socket.create_connection(address, 2.0) as phone:
        phone.sendall(OPTIONS)
        bench.world.until(lambda: bench.counters["stream_tls_failed"] == 1)


def test_a_verified_client_has_names_and_may_ask_for_an_alias(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "localhost")
    theirs, their_key = bench.certificate("theirs", "trunk.example")
    settings = TlsSettings(certificate, key, client_authorities=str(theirs), require_client=True)
    network, address = bench.network(settings)
    stranger = bench.phone(address, trusting(certificate), "localhost")
    bench.world.until(lambda: stranger.step() and stranger.ended)
    context = trusting(certificate)
    context.load_cert_chain(theirs, their_key)
    phone = bench.phone(address, context, "localhost")
    phone.tls.sendall(OPTIONS)
    flow = bench.flow()
    assert network.peer_names(flow) == ("trunk.example",)
    # Only for its own names, at its own address, and only once it has asked.
    network.alias(flow, 5071)
    waiting = Waiting()
    network.connect("tls", ("127.0.0.1", 5071), "trunk.example", waiting)
    assert waiting.flow == flow
    other = bench.connects(network, ("127.0.0.1", 5071), "victim.example")
    assert other.flow is None
    phone.tls.close()
    bench.world.until(lambda: bench.heard.gone)
    gone = bench.connects(network, ("127.0.0.1", 5071), "trunk.example")
    assert gone.flow is None


def test_each_listener_shows_its_own_certificate(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "own.example")
    other, other_key = bench.certificate("other", "other.example")
    listeners = [Listener("tls", "127.0.0.1", 0), Listener("tls", "127.0.0.1", 0, certificate=other, key=other_key)]
    tls = Tls(TlsSettings(certificate, key))
    network = RealNetwork(bench.world.reactor, bench.world.clock, listeners, bench.counters, tls=tls)
    bench.closers.append(network.stop)
    network.start(bench.heard)
    first, second = (address for _, address in network.listening)
    assert bench.phone(first, trusting(certificate), "own.example").up
    assert bench.phone(second, trusting(other), "other.example").up
    assert not bench.phone(second, trusting(certificate), "own.example").up
    newer, newer_key = bench.certificate("newer", "newer.example")
    os.replace(newer, other)
    os.replace(newer_key, other_key)
    assert tls.reload()
    assert bench.phone(second, trusting(other), "newer.example").up
    assert bench.phone(first, trusting(certificate), "own.example").up


def test_a_listener_needs_a_certificate_that_can_be_used(bench: Bench) -> None:
    _, key = bench.certificate("own", "own.example")
    for tls, listener, fault in (
        (Tls(TlsSettings(None, None)), Listener("tls", "127.0.0.1", 0), "without a certificate"),
        (Tls(TlsSettings(None, None)), Listener("tls", "127.0.0.1", 0, certificate=key, key=key), "no certificate"),
    ):
        with pytest.raises(EnvironmentFault, match=fault):
            RealNetwork(bench.world.reactor, bench.world.clock, [listener], bench.counters, tls=tls)


def test_authorities_that_cannot_be_used_are_told_before_they_are_needed(bench: Bench) -> None:
    _, key = bench.certificate("own", "own.example")
    faulty = Verification(authorities=str(key))
    good = Tls(TlsSettings(None, None))
    for settings in (
        TlsSettings(None, None, default=faulty),
        TlsSettings(None, None, destinations={"sip.example": faulty}),
    ):
        with pytest.raises(EnvironmentFault, match="no certificates of authorities"):
            Tls(settings)
        with pytest.raises(EnvironmentFault, match="no certificates of authorities"):
            good.prepare(settings)
    with pytest.raises(EnvironmentFault, match="nowhere"):
        Tls(TlsSettings(None, None, default=Verification(authorities="/nowhere.pem")))


def test_other_settings_hold_from_the_next_connection_on(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "own.example")
    address, _ = bench.server((certificate, key))
    strict = TlsSettings(None, None, default=Verification())
    tls = Tls(strict)
    network = RealNetwork(bench.world.reactor, bench.world.clock, [], bench.counters)
    bench.closers.append(network.stop)
    network.start(bench.heard)
    assert bench.connects(network, address, "own.example").detail == "tls is not offered here"
    network.use_tls(tls)
    assert "its certificate is refused" in bench.connects(network, address, "own.example").detail
    assert tls.prepare(strict) is None
    state = tls.prepare(TlsSettings(None, None, default=Verification(verify=False)))
    assert state is not None
    tls.take(state)
    assert bench.connects(network, address, "own.example").flow is not None


# Reloading


def test_new_files_are_taken_without_a_restart(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "old.example")
    network, address = bench.network(TlsSettings(certificate, key))
    assert network.tls is not None
    old = trusting(certificate)
    phone = bench.phone(address, old, "old.example")
    phone.tls.sendall(OPTIONS)
    flow = bench.flow()
    assert network.tls.reload() is False
    newer, newer_key = bench.certificate("new", "new.example")
    os.replace(newer, certificate)
    os.replace(newer_key, key)
    assert network.tls.reload() is True
    assert bench.phone(address, trusting(certificate), "new.example").up
    assert not bench.phone(address, old, "old.example").up
    # The connection that was there goes on.
    assert network.send(flow, OPTIONS) == ""
    bench.world.until(lambda: phone.step() and phone.got == OPTIONS)


def test_faulty_new_files_change_nothing(bench: Bench) -> None:
    certificate, key = bench.certificate("own", "old.example")
    network, address = bench.network(TlsSettings(certificate, key))
    assert network.tls is not None
    context = trusting(certificate)
    _, wrong = bench.certificate("other", "other.example")
    good = key.read_bytes()
    key.write_bytes(wrong.read_bytes())
    with pytest.raises(EnvironmentFault, match=r"no private key in PEM form that belongs to"):
        network.tls.reload()
    certificate.write_text("rubbish")
    with pytest.raises(EnvironmentFault, match="holds no certificate in PEM form"):
        network.tls.reload()
    certificate.unlink()
    with pytest.raises(EnvironmentFault, match="cannot be read: No such file"):
        network.tls.reload()
    assert bench.phone(address, context, "old.example").up
    assert good


# Connecting


def test_a_server_is_verified_by_default(bench: Bench) -> None:
    own = bench.certificate("own", "localhost")
    theirs = bench.certificate("theirs", "carrier.example")
    remote, accepted = bench.server(theirs)
    network, _ = bench.network(TlsSettings(*own))
    assert "signed by itself" in bench.connects(network, remote, "carrier.example").detail
    trusted = Verification(authorities=str(theirs[0]))
    network, _ = bench.network(TlsSettings(*own, default=trusted))
    waiting = bench.connects(network, remote, "carrier.example")
    assert waiting.flow is not None
    assert network.peer_names(waiting.flow) == ("carrier.example",)
    network.send(waiting.flow, OPTIONS)
    bench.world.until(lambda: any(phone.got == OPTIONS for phone in accepted))
    refused = bench.connects(network, remote, "bank.example")
    assert refused.detail == "its certificate is for carrier.example, not for bank.example"
    numeric = bench.connects(network, remote, "")
    assert numeric.detail == "its certificate is for carrier.example, not for 127.0.0.1"
    assert bench.counters["stream_open_failed"] == 3


def test_how_a_destination_is_verified_can_be_said(bench: Bench) -> None:
    own = bench.certificate("own", "localhost")
    theirs = bench.certificate("theirs", "carrier.example")
    remote, _ = bench.server(theirs, authorities=own[0])
    destinations = {
        "lenient.example": Verification(verify=False),
        "alias.example": Verification(authorities=str(theirs[0]), name="carrier.example"),
    }
    network, _ = bench.network(TlsSettings(*own, destinations=destinations))
    lenient = bench.connects(network, remote, "lenient.example")
    assert lenient.flow is not None
    assert network.peer_names(lenient.flow) == ()
    alias = bench.connects(network, remote, "alias.example")
    assert alias.flow is not None
    # Another name is another connection, even to the same address.
    assert alias.flow != lenient.flow


def test_who_has_no_certificate_can_connect_and_not_accept(bench: Bench) -> None:
    address, accepted = bench.server(bench.certificate("server", "127.0.0.1"))
    settings = TlsSettings(None, None, default=Verification(verify=False))
    network = RealNetwork(bench.world.reactor, bench.world.clock, [], bench.counters, tls=Tls(settings))
    bench.closers.append(network.stop)
    network.start(bench.heard)
    waiting = Waiting()
    network.connect("tls", address, "", waiting)
    bench.world.until(lambda: waiting.done)
    assert waiting.flow is not None, waiting.detail
    network.send(waiting.flow, OPTIONS)
    bench.world.until(lambda: accepted and accepted[0].step() and accepted[0].got == OPTIONS)
    assert Tls(settings).reload() is False
    with pytest.raises(EnvironmentFault, match="without a certificate"):
        Tls(settings).present(None, None)
