"""The only place that knows everything: builds the object graph and picks the reactor.

::

    run.py         the process: reactor, signals, exit status
    building.py    every room built once and wired together
    server.py      its start, reload, drain and stop
    translate.py   what configuration says, in the words of each room
    directory.py   where everybody is and who they are
    observer.py    who hears of calls
    operation.py   what operators and machines see: health, API, systemd
    metering.py    what the metrics read of the rooms
    sounds.py      where the sounds are
"""
