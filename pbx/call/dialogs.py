"""Which leg a request inside a dialog belongs to (RFC 3261 §12.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pbx.sip.message import Request
    from pbx.sip.stack import Flow, ServerTransaction, TransactionFailure
    from pbx.sip.uri import Uri

__all__ = ["DialogOwner", "DialogTable"]


class DialogOwner(Protocol):
    """A leg, as whoever hands it its requests sees it."""

    @property
    def id(self) -> str:
        """The leg's id."""

    def owns(self, remote_tag: str) -> bool:
        """Return whether one of its dialogs, early or confirmed, has this remote tag."""

    def is_confirmed(self, remote_tag: str) -> bool:
        """Return whether the dialog with this remote tag is confirmed (RFC 3891 §3 tells early from confirmed)."""

    @property
    def initiated(self) -> bool:
        """Whether its INVITE was ours."""

    @property
    def leaving(self) -> bool:
        """Whether its end is decided."""

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a request of one of its dialogs, other than ACK and CANCEL; it is answered always."""

    def on_ack(self, request: Request, flow: Flow) -> None:
        """Take an ACK for a 2xx."""

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Take that an INVITE of this leg was cancelled; it is answered 487 unless it was answered already."""

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Take that a final response of this leg could not be delivered."""

    def on_move(self, contact: Uri, before: Flow, now: Flow) -> None:
        """Take that the phone with this contact is reached over `now` and no more over `before`."""


class DialogTable:
    """Dialogs by Call-ID, local tag and remote tag.

    Our local tags are random and each leg uses one, so (Call-ID, local tag) finds the leg and the leg tells which of
    its dialogs has the remote tag: an INVITE of ours that forks downstream makes several (RFC 3261 §12.1.2), whose
    number is unknown here.
    """

    __slots__ = ("_owners",)

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], DialogOwner] = {}

    def add(self, call_id: str, local_tag: str, owner: DialogOwner) -> None:
        """Register a leg; it does so itself when its local tag is chosen."""
        self._owners[call_id, local_tag] = owner

    def remove(self, call_id: str, local_tag: str) -> None:
        """Forget a leg; it does so itself when nothing of it is left. Harmless when it is unknown."""
        self._owners.pop((call_id, local_tag), None)

    def find(self, request: Request) -> DialogOwner | None:
        """Return the leg to which a request with a To tag belongs; None means 481, or silence for an ACK (RFC 3261
        §12.2.2)."""
        return self.lookup(request.call_id, request.to.tag or "", request.from_.tag or "")

    def lookup(self, call_id: str, local_tag: str, remote_tag: str) -> DialogOwner | None:
        """Return the leg with this dialog, early or confirmed; for Replaces too (RFC 3891 §3).

        A missing tag is the empty one, which stands for a peer of RFC 2543 (RFC 3261 §12.1.1).
        """
        owner = self._owners.get((call_id, local_tag))
        if owner is None or not owner.owns(remote_tag):
            return None
        return owner

    def sent(self, call_id: str, tag: str) -> bool:
        """Return whether a leg of ours sends with this Call-ID and From tag."""
        return (call_id, tag) in self._owners

    def moved(self, contact: Uri, before: Flow, now: Flow) -> None:
        """Take that a phone registered `contact` over `now` and is no more reached over `before`.

        Its calls go on: a NAT that gives it another port would else keep it from hearing a hold or a BYE.
        """
        for owner in self:
            owner.on_move(contact, before, now)

    def __len__(self) -> int:
        """Return how many legs have dialogs, or may still get one."""
        return len(self._owners)

    def __iter__(self) -> Iterator[DialogOwner]:
        """Go through the legs."""
        return iter(tuple(self._owners.values()))
