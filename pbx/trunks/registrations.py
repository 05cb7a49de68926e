"""All outbound registrations of a server: one an account, replaced together at a reload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pbx.ids import Ids
from pbx.sip.stack import Flow, Stack
from pbx.trunks.account import Account, Credentials, Owner, RegistrationSettings, Status
from pbx.trunks.registration import Registration
from pbx.trunks.registration_table import State

__all__ = ["Registrations"]


class Registrations:
    """Registrations by the names of their accounts. `owner` hears of each change of each."""

    def __init__(
        self,
        stack: Stack,
        ids: Ids,
        credentials: Credentials,
        owner: Owner,
        settings: RegistrationSettings | None = None,
    ) -> None:
        self._stack = stack
        self._ids = ids
        self._credentials = credentials
        self._owner = owner
        self.settings = settings or RegistrationSettings()
        """Of what is registered from now on."""
        self._current: dict[str, Registration] = {}
        self._leaving: set[Registration] = set()
        self._held: dict[Registration, Registration] = {}
        """Those that begin once another one has removed its binding: the registrar knows both by one Contact, so that
        the removal, should it come second, would take the new binding away."""
        self._done: Callable[[], None] | None = None

    def replace(self, accounts: Iterable[Account]) -> None:
        """Keep these accounts registered and no others. One that is as it was does not notice."""
        wanted = {account.name: account for account in accounts}
        for name, registration in list(self._current.items()):
            if wanted.get(name) != registration.account:
                del self._current[name]
                self._let_go(registration)
        for name, account in wanted.items():
            if name not in self._current:
                made = Registration(account, self._stack, self._ids, self._credentials, self, self.settings)
                self._current[name] = made
                before = next((one for one in self._leaving if _same_binding(one.account, account)), None)
                if before is None:
                    made.start()
                else:
                    self._held[made] = before

    def get(self, name: str) -> Status | None:
        """Return how an account stands; None if there is none of that name."""
        registration = self._current.get(name)
        return None if registration is None else registration.status

    def __iter__(self) -> Iterator[Status]:
        """Give the status of every account."""
        return iter([registration.status for registration in self._current.values()])

    def __len__(self) -> int:
        """Return how many accounts are kept registered."""
        return len(self._current)

    def renew(self, name: str) -> bool:
        """Register an account now, whatever it waits for; False if there is none of that name."""
        registration = self._current.get(name)
        if registration is not None and registration not in self._held:
            registration.start()
        return registration is not None

    def address_changed(self, name: str) -> None:
        """Take that we reach an account's registrar from another address of ours than before."""
        registration = self._current.get(name)
        if registration is not None and registration not in self._held:
            registration.address_changed()

    def flow_closed(self, flow: Flow) -> None:
        """Take that a connection is gone: what was registered over it is registered anew."""
        for registration in list(self._current.values()):
            registration.flow_closed(flow)

    def stop(self, done: Callable[[], None]) -> None:
        """Remove every binding; call `done` once all registrars have answered, or will not."""
        self._done = done
        for registration in list(self._current.values()):
            self._let_go(registration)
        self._current.clear()
        self._check_done()

    def abandon(self) -> None:
        """End all at once, also those that are being removed; the bindings stay until they expire."""
        self._held.clear()
        for registration in [*self._current.values(), *self._leaving]:
            registration.abandon()
        self._current.clear()

    def _let_go(self, registration: Registration) -> None:
        self._held.pop(registration, None)
        self._leaving.add(registration)
        registration.stop()

    # -- Owner

    def registration_changed(self, status: Status) -> None:
        """Pass it on."""
        self._owner.registration_changed(status)
        if status.state is State.ENDED:
            self._leaving = {one for one in self._leaving if one.state is not State.ENDED}
            for held, before in list(self._held.items()):
                if before not in self._leaving:
                    del self._held[held]
                    held.start()
            self._check_done()

    def _check_done(self) -> None:
        if not self._leaving and self._done is not None:
            done, self._done = self._done, None
            done()


def _same_binding(one: Account, other: Account) -> bool:
    """Return whether two accounts have one binding at one registrar."""
    return (one.aor, one.registrar, one.contact_user) == (other.aor, other.registrar, other.contact_user)
