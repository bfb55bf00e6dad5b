"""Tables, figures and pages from results files alone: nothing here needs a net, a data set or torch.

Figures are drawn on Agg canvases of their own, so matplotlib needs no backend. It reads MPLBACKEND nevertheless while
it is imported, and fails where that names one that is not installed, as a notebook's is in its subprocesses. So it is
imported here without that variable, before any module of this package asks for it.
"""

import os
import sys


def _import_matplotlib() -> None:
    """Import matplotlib without its backend; a backend that it does know is chosen again, for the caller's figures."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        try:
            matplotlib.rcParams["backend"] = backend
        except ValueError:
            pass  # what it would have failed on


_import_matplotlib()
