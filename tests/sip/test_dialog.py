import pytest

from pbx.errors import ParseError
from pbx.sip.dialog import Dialog, remote_target_of
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri

FLOW = Flow("tcp", ("192.0.2.1", 5060), ("198.51.100.7", 40000), 3)


def invite(
    *extra: tuple[str, str], contact: str | None = "<sip:alice@198.51.100.7:5062>", from_tag: str = "theirs"
) -> Request:
    headers = Headers(
        [
            ("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa"),
            ("Max-Forwards", "70"),
            ("From", '"Alice" <sip:alice@example.net>' + (f";tag={from_tag}" if from_tag else "")),
            ("To", "<sip:bob@example.com>"),
            ("Call-ID", "call"),
            ("CSeq", "7 INVITE"),
        ]
    )
    if contact is not None:
        headers.add("Contact", contact)
    for name, value in extra:
        headers.add(name, value)
    return Request("INVITE", "sip:bob@example.com", headers)


def answer(
    request: Request, *extra: tuple[str, str], contact: str | None = "<sip:bob@203.0.113.9>", status: int = 200
) -> Response:
    response = make_response(request, status, to_tag="theirs")
    if contact is not None:
        response.headers.add("Contact", contact)
    for name, value in extra:
        response.headers.add(name, value)
    return response


def request_in(method: str, cseq: int, contact: str | None = None) -> Request:
    headers = Headers([("CSeq", f"{cseq} {method}")])
    if contact is not None:
        headers.add("Contact", contact)
    return Request(method, "sip:x@y", headers)


class TestServer:
    @pytest.mark.parametrize(
        ("uri", "contact", "extra", "secure"),
        [
            ("sip:bob@example.com", "<sip:alice@a>", (), False),
            ("sips:bob@example.com", "<sip:alice@a>", (), True),
            ("sip:bob@example.com", "<sips:alice@a>", (), True),
            ("sip:bob@example.com", "<sips:alice@a>", (("Record-Route", "<sip:p1;lr>, <sips:p2;lr>"),), False),
            ("sip:bob@example.com", "<sip:alice@a>", (("Record-Route", "<sips:p1;lr>, <sip:p2;lr>"),), True),
        ],
    )
    def test_is_secure_if_it_began_with_sips(self, uri, contact, extra, secure):
        # RFC 3261 §12.1.1
        request = invite(*extra, contact=contact)
        request.uri = Uri.parse(uri)
        assert Dialog.of_server(request, "ours").secure is secure
        assert Dialog.of_client(request, answer(request)).secure is (uri.startswith("sips:"))

    def test_takes_its_state_from_the_request(self):
        dialog = Dialog.of_server(invite(), "ours")
        assert (dialog.call_id, dialog.local_tag, dialog.remote_tag) == ("call", "ours", "theirs")
        assert dialog.local == "<sip:bob@example.com>;tag=ours"
        assert dialog.remote == '"Alice" <sip:alice@example.net>;tag=theirs'
        assert str(dialog.target) == "sip:alice@198.51.100.7:5062"
        assert (dialog.local_cseq, dialog.remote_cseq) == (0, 7)
        assert not dialog.confirmed

    def test_keeps_the_route_set_in_order(self):
        # RFC 3261 §12.1.1
        dialog = Dialog.of_server(
            invite(
                ("Record-Route", "<sip:p2.example.com;lr>, <sip:p1.example.com;lr;x=1>"),
                ("Record-Route", "<sip:p0;lr>"),
            ),
            "ours",
        )
        assert dialog.route_set == ("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr;x=1>", "<sip:p0;lr>")
        assert dialog.destination() == Destination(dialog.target, dialog.route_set)

    def test_takes_a_caller_of_rfc_2543_without_a_tag(self):
        dialog = Dialog.of_server(invite(from_tag=""), "ours")
        assert dialog.remote_tag == ""

    def test_a_caller_of_rfc_2543_without_a_contact_is_reached_where_from_says(self):
        dialog = Dialog.of_server(invite(contact=None, from_tag=""), "ours")
        assert str(dialog.target) == "sip:alice@example.net"
        with pytest.raises(ParseError):
            Dialog.of_server(invite(contact=None), "ours")

    @pytest.mark.parametrize("contact", [None, "*", "<tel:+49301>", "<mailto:a@b>"])
    def test_refuses_a_caller_who_cannot_be_reached(self, contact):
        with pytest.raises(ParseError):
            Dialog.of_server(invite(contact=contact), "ours")

    def test_refuses_a_route_that_is_no_address(self):
        with pytest.raises(ParseError):
            Dialog.of_server(invite(("Record-Route", "<tel:+4930>")), "ours")

    def test_first_request_of_ours_has_the_number_one(self):
        dialog = Dialog.of_server(invite(), "ours")
        bye = dialog.request("BYE")
        assert bye.to_bytes().startswith(b"BYE sip:alice@198.51.100.7:5062 SIP/2.0\r\n")
        assert str(bye.cseq) == "1 BYE"
        assert bye.headers.get("From") == dialog.local
        assert bye.headers.get("To") == dialog.remote
        assert bye.call_id == "call"
        assert bye.max_forwards == 70
        assert str(dialog.request("INFO").cseq) == "2 INFO"


class TestClient:
    def test_takes_its_state_from_the_response(self):
        ours = invite(from_tag="ours")
        dialog = Dialog.of_client(ours, answer(ours, status=180))
        assert (dialog.call_id, dialog.local_tag, dialog.remote_tag) == ("call", "ours", "theirs")
        assert str(dialog.target) == "sip:bob@203.0.113.9"
        assert (dialog.local_cseq, dialog.remote_cseq) == (7, None)
        assert str(dialog.request("PRACK").cseq) == "8 PRACK"

    def test_reverses_the_route_set(self):
        # RFC 3261 §12.1.2
        ours = invite()
        dialog = Dialog.of_client(ours, answer(ours, ("Record-Route", "<sip:p1;lr>, <sip:p2;lr>")))
        assert dialog.route_set == ("<sip:p2;lr>", "<sip:p1;lr>")

    def test_answer_recomputes_the_route_set_and_the_target(self):
        # RFC 3261 §13.2.2.4
        ours = invite()
        dialog = Dialog.of_client(ours, answer(ours, ("Record-Route", "<sip:p1;lr>"), status=180))
        assert dialog.destination().route == ("<sip:p1;lr>",)
        dialog.confirm(answer(ours, ("Record-Route", "<sip:p3;lr>"), contact="<sip:bob@203.0.113.10>"))
        assert dialog.confirmed
        assert dialog.destination() == Destination(Uri.parse("sip:bob@203.0.113.10"), ("<sip:p3;lr>",))

    def test_response_without_contact_leaves_the_request_uri(self):
        ours = invite()
        assert str(Dialog.of_client(ours, answer(ours, contact=None)).target) == "sip:bob@example.com"

    def test_unusable_response_goes_the_way_of_the_invite(self):
        ours = invite()
        bad = answer(ours, ("Record-Route", "<sip:p1;lr>"), contact="<tel:1>")
        with pytest.raises(ParseError):
            Dialog.of_client(ours, bad)
        dialog = Dialog.of_unusable(ours, bad)
        assert dialog.destination() == Destination(Uri.parse("sip:bob@example.com"))
        assert dialog.remote_tag == "theirs"

    def test_ack_has_the_number_of_its_invite(self):
        ours = invite()
        dialog = Dialog.of_client(ours, answer(ours))
        dialog.request("PRACK")
        ack = dialog.ack(7)
        assert str(ack.cseq) == "7 ACK"
        assert str(dialog.request("BYE").cseq) == "9 BYE"


class TestRouting:
    def test_strict_router_takes_the_place_of_the_target(self):
        # RFC 3261 §12.2.1.1, whose example this is.
        dialog = Dialog.of_server(
            invite(
                ("Record-Route", "<sip:proxy1>, <sip:proxy2>, <sip:proxy3;lr>, <sip:proxy4>"),
                contact="<sip:user@remoteua>",
            ),
            "ours",
        )
        destination = dialog.destination()
        assert str(destination.uri) == "sip:proxy1"
        assert destination.route == ("<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>", "<sip:user@remoteua>")
        assert destination.next_hop == destination.uri
        assert dialog.request("BYE").uri == destination.uri

    def test_what_no_request_uri_may_have_is_stripped(self):
        dialog = Dialog.of_server(
            invite(("Record-Route", "<sip:p1;method=INVITE;transport=tcp>"), contact="<sip:a@b;method=BYE?Subject=x>"),
            "ours",
        )
        assert str(dialog.destination().uri) == "sip:p1;transport=tcp"
        assert dialog.destination().route == ("<sip:a@b>",)

    def test_flow_takes_every_request_until_changed(self):
        dialog = Dialog.of_server(invite(), "ours")
        dialog.use_flow(FLOW, fallback=True)
        assert dialog.destination() == Destination(dialog.target, (), FLOW, fallback=True)
        assert dialog.destination() is dialog.destination()
        dialog.use_flow(None, fallback=False)
        assert dialog.destination().flow is None

    def test_flow_and_strict_router_together(self):
        dialog = Dialog.of_server(invite(("Record-Route", "<sip:p1>")), "ours")
        dialog.use_flow(FLOW, fallback=False)
        assert dialog.destination().flow == FLOW


class TestOrder:
    def test_numbers_may_jump_but_not_return(self):
        # RFC 3261 §12.2.2
        dialog = Dialog.of_server(invite(), "ours")
        assert dialog.in_order(request_in("INFO", 8))
        assert dialog.in_order(request_in("INFO", 100))
        assert not dialog.in_order(request_in("INFO", 99))
        assert not dialog.in_order(request_in("INFO", 100))
        assert dialog.remote_cseq == 100

    def test_first_request_of_a_callee_may_have_any_number(self):
        ours = invite()
        dialog = Dialog.of_client(ours, answer(ours))
        assert dialog.in_order(request_in("BYE", 0))
        assert not dialog.in_order(request_in("BYE", 0))


class TestTarget:
    def test_refresh_moves_the_target_but_not_the_routes(self):
        dialog = Dialog.of_server(invite(("Record-Route", "<sip:p1;lr>")), "ours")
        before = dialog.destination()
        dialog.refresh_target(request_in("UPDATE", 8, "<sip:alice@198.51.100.8>"))
        assert str(dialog.destination().uri) == "sip:alice@198.51.100.8"
        assert dialog.destination().route == before.route

    def test_request_without_contact_leaves_the_target(self):
        dialog = Dialog.of_server(invite(), "ours")
        before = dialog.destination()
        dialog.refresh_target(request_in("INFO", 8))
        assert dialog.destination() is before

    def test_first_of_several_contacts_counts(self):
        assert str(remote_target_of(request_in("INVITE", 1, "<sip:a@b>, <sip:c@d>"))) == "sip:a@b"
