"""A phone: a user agent that registers, calls, answers, plays and records, for the command line and the tests.

It is built on the stack of `pbx.net`, the legs of `pbx.call.leg` and the media of `pbx.media`, and knows nothing of the
server. ::

    line.py      who it is and where its server is, from what a user writes
    plan.py      what it shall do in a call
    notices.py   what it tells; lines.py shows it
    table.py     the states of its life; phone.py carries them out
    call.py      one call of it
    keys.py      the keys that it presses and hears
    door.py      the requests that reach it
    machine.py   the sockets, threads and files beneath it
    sounds.py    silence and tones as files, and how much of a tone there is in one
"""
