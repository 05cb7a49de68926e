"""What configuration says of calls, seen from the phones and carriers of a running server."""

from __future__ import annotations

from tests.support.pbx import Connect, Serve, sdp

TWO = 'extensions:\n  "101": {name: Alice, password: wonderland}\n  "102": {name: Bob, password: looking-glass}\n'


def test_two_phones_talk(serve: Serve, phone: Connect) -> None:
    pbx = serve(TWO)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    assert bob.register().status == 200
    invite = alice.dial("102")
    heard = bob.request("INVITE")
    bob.answer(heard, 180)
    alice.provisional(invite, 180)
    bob.pick_up(heard, sdp())
    answer = alice.final(invite)
    assert answer.status == 200
    alice.acknowledge(invite, answer)
    assert alice.hang_up(invite, answer).status == 200
    bob.answer(bob.request("BYE"), 200)
