"""`python -m depthcue`, the same as the command `depthcue`."""

from depthcue.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
