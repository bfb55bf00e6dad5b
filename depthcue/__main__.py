"""`python -m depthcue`, the same as the command `depthcue`."""

from depthcue.cli.main import entry

entry()
