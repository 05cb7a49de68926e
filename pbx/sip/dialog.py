"""The state of a dialog (RFC 3261 §12), for either role, and the requests that are sent within it.

A dialog knows nothing of transactions, offers or timers. One INVITE may create several dialogs (§12.1.2): each is a
`Dialog.of_client` made from its first response with a new To tag.
"""

from __future__ import annotations

from pbx.errors import ParseError
from pbx.sip.headers import Headers
from pbx.sip.message import Message, Request, Response
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from pbx.sip.values import NameAddress

__all__ = ["Dialog", "remote_target_of"]

_MAX_FORWARDS = "70"


def remote_target_of(message: Message) -> Uri | None:
    """Return the URI of a message's Contact, None if it has none.

    Raises ParseError for a Contact that no request could be sent to: a wildcard, or one that is neither sip nor sips.
    """
    if "Contact" not in message.headers:
        return None
    contacts = message.contacts
    # RFC 3261 §8.1.1.8: the Contact header field MUST be present and contain exactly one SIP or SIPS URI in any request
    # that can result in the establishment of a dialog. Of several the first one is taken: what a sender of two means is
    # anyone's guess.
    if not contacts or not contacts[0].uri.is_sip:
        raise ParseError("The Contact is no SIP address")
    return contacts[0].uri


def _route_set(message: Message) -> tuple[str, ...]:
    if "Record-Route" not in message.headers:
        return ()
    for route in message.record_routes:
        if not route.uri.is_sip:
            raise ParseError("A Record-Route is no SIP address")
    return tuple(message.headers.all("Record-Route"))


def _as_request_uri(uri: Uri) -> Uri:
    """Strip what RFC 3261 §19.1.1 (table 1) does not allow in a Request-URI: headers and the method parameter."""
    if not uri.headers and "method" not in uri.params:
        return uri
    return uri.with_(headers="", params={name: value for name, value in uri.params.items() if name != "method"})


class Dialog:
    """One dialog. `local` and `remote` are the From and To of our requests in it, tags included, as they were first
    written.

    `flow`, if set, takes our requests whatever the remote target says (a phone behind NAT, RFC 5626); `fallback` as in
    `Destination`.
    """

    __slots__ = (
        "_destination",
        "call_id",
        "confirmed",
        "fallback",
        "flow",
        "local",
        "local_cseq",
        "local_tag",
        "remote",
        "remote_cseq",
        "remote_tag",
        "route_set",
        "secure",
        "target",
    )

    def __init__(
        self,
        call_id: str,
        local: tuple[str, str],
        remote: tuple[str, str],
        target: Uri,
        route_set: tuple[str, ...],
        local_cseq: int,
        remote_cseq: int | None,
    ) -> None:
        """Take `local` and `remote` as pairs of header text and tag; the route set's first element is the first hop."""
        self.call_id = call_id
        self.local, self.local_tag = local
        self.remote, self.remote_tag = remote
        self.target = target
        self.route_set = route_set
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.confirmed = False
        self.secure = False
        """It began with a SIPS URI: our Contact is to be one throughout (RFC 3261 §12.1.1, §12.2.1.1)."""
        self.flow: Flow | None = None
        self.fallback = False
        self._destination: Destination | None = None

    @classmethod
    def of_server(cls, request: Request, local_tag: str) -> Dialog:
        """Return the dialog that our tagged response to `request` creates (RFC 3261 §12.1.1). Raises ParseError.

        The local sequence number starts at 0: it is empty until we send a request (§12.1.1), whose number is then 1.
        """
        target = remote_target_of(request)
        if target is None and request.from_.tag is None and request.from_.uri.is_sip:
            # RFC 4475 §3.4.1: an INVITE of RFC 2543, which knows no tag and wants no Contact, should be accepted; its
            # sender is reached where From says.
            target = request.from_.uri
        if target is None:
            raise ParseError("Contact is missing")
        headers = request.headers
        # RFC 3261 §12.1.1: a UAS MUST be prepared to receive a request without a tag in the From field, in which case
        # the tag is considered to have a value of null. This is to maintain backwards compatibility with RFC 2543.
        remote = headers.get("From") or "", request.from_.tag or ""
        local = f"{headers.get('To')};tag={local_tag}", local_tag
        # RFC 3261 §12.1.1: the route set MUST be set to the list of URIs in the Record-Route header field from the
        # request, taken in order and preserving all URI parameters.
        dialog = cls(request.call_id, local, remote, target, _route_set(request), 0, request.cseq.number)
        # RFC 3261 §12.1.1: if the request that initiated the dialog contained a SIPS URI in the Request-URI or in the
        # top Record-Route header field value, if there was any, or the Contact header field if there was no
        # Record-Route header field, the Contact header field in the response MUST be a SIPS URI.
        route = dialog.route_set
        first = NameAddress.parse(route[0]).uri if route else target
        dialog.secure = "sips" in (request.uri.scheme, first.scheme)
        return dialog

    @classmethod
    def of_client(cls, request: Request, response: Response) -> Dialog:
        """Return the dialog that a 101 to 299 response to our INVITE creates (RFC 3261 §12.1.2). Raises ParseError.

        A response without Contact, which RFC 3261 §12.1.1 forbids but old gateways send, leaves the Request-URI as the
        target.
        """
        target = remote_target_of(response) or request.uri
        local = request.headers.get("From") or "", request.from_.tag or ""
        remote = response.headers.get("To") or "", response.to.tag or ""
        # RFC 3261 §12.1.2: [...] taken in reverse order and preserving all URI parameters.
        dialog = cls(request.call_id, local, remote, target, _route_set(response)[::-1], request.cseq.number, None)
        dialog.secure = request.uri.scheme == "sips"
        return dialog

    @classmethod
    def of_unusable(cls, request: Request, response: Response) -> Dialog:
        """Return the dialog of a 2xx whose Contact or Record-Route cannot be used: ACK and BYE then go the INVITE's
        way."""
        local = request.headers.get("From") or "", request.from_.tag or ""
        remote = response.headers.get("To") or "", response.to.tag or ""
        return cls(request.call_id, local, remote, request.uri, (), request.cseq.number, None)

    # -- what the peer sends

    def in_order(self, request: Request) -> bool:
        """Note a request's sequence number; False if it is out of order and must be answered 500 (RFC 3261 §12.2.2).

        A number used before counts as out of order too: retransmissions never get here.
        """
        number = request.cseq.number
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def confirm(self, response: Response) -> None:
        """Take the 2xx that confirms an early dialog of ours. Raises ParseError.

        RFC 3261 §13.2.2.4: if the dialog identifier in the 2xx response matches the dialog identifier of an existing
        dialog, the dialog MUST be transitioned to the "confirmed" state, and the route set for the dialog MUST be
        recomputed based on the 2xx.
        """
        self.route_set = _route_set(response)[::-1]
        self.refresh_target(response)
        self.confirmed = True
        self._destination = None

    def refresh_target(self, message: Message) -> None:
        """Take the Contact of a target refresh request, or of a 2xx to ours, as the remote target (RFC 3261 §12.2).
        Raises ParseError."""
        target = remote_target_of(message)
        if target is not None and target != self.target:
            self.target = target
            self._destination = None

    def use_flow(self, flow: Flow | None, fallback: bool) -> None:
        """Send our requests over `flow` from here on; None resolves the route set or target again."""
        if flow != self.flow or fallback != self.fallback:
            self.flow, self.fallback = flow, fallback
            self._destination = None

    # -- what we send

    def destination(self) -> Destination:
        """Return where our requests go (RFC 3261 §12.2.1.1)."""
        if self._destination is None:
            self._destination = self._find_destination()
        return self._destination

    def _find_destination(self) -> Destination:
        target = _as_request_uri(self.target)
        if not self.route_set:
            return Destination(target, (), self.flow, self.fallback)
        first = NameAddress.parse(self.route_set[0]).uri
        # RFC 3261 §12.2.1.1: if the route set is not empty, and the first URI in the route set contains the lr
        # parameter, the UAC MUST place the remote target URI into the Request-URI and MUST include a Route header field
        # containing the route set.
        if "lr" in first.params:
            return Destination(target, self.route_set, self.flow, self.fallback)
        # If the route set is not empty, and its first URI does not contain the lr parameter, the UAC MUST place the
        # first URI from the route set into the Request-URI, stripping any parameters that are not allowed in a
        # Request-URI. The UAC MUST add a Route header field containing the remainder of the route set values in order,
        # [and] then place the remote target URI into the Route header field as the last value.
        strict = _as_request_uri(first)
        return Destination(strict, (*self.route_set[1:], f"<{target}>"), self.flow, self.fallback, next_hop=strict)

    def request(self, method: str) -> Request:
        """Return a new request of ours within this dialog, with the next sequence number. It goes to `destination`."""
        self.local_cseq += 1
        return self._request(method, self.local_cseq)

    def ack(self, invite_cseq: int) -> Request:
        """Return the ACK for a 2xx to our INVITE with that sequence number.

        RFC 3261 §13.2.2.4: the sequence number of the CSeq header field MUST be the same as the INVITE being
        acknowledged.
        """
        return self._request("ACK", invite_cseq)

    def _request(self, method: str, number: int) -> Request:
        headers = Headers(
            (
                ("Max-Forwards", _MAX_FORWARDS),
                ("From", self.local),
                ("To", self.remote),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} {method}"),
            )
        )
        return Request(method, self.destination().uri, headers)
