"""``python -m pbx`` is the command ``pbx``."""

from pbx.cli.main import main

main()
