"""`python -m depthcue.cli`, which is what launchers of several processes start."""

from depthcue.cli.main import entry

entry()
