"""What is told of a live source: how long its frames took from arrival to file, in memory that does not grow."""

import math
from collections import Counter
from typing import Any

_SHORTEST_S = 1e-4
_STEP = math.log(1.01)


class Latencies:
    """Durations, as many as may come; quantiles are exact to one per cent above a tenth of a millisecond."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()  # by logarithm; a hundred seconds are the 1389th
        self._longest_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[round(math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S) / _STEP)] += 1
        self._longest_s = max(self._longest_s, seconds)

    def quantile(self, share: float) -> float | None:
        """Seconds below which `share` (0 to 1) of them lie; None where there are none."""
        left = share * self._counts.total()
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return _SHORTEST_S * math.exp(step * _STEP)
        return None

    def as_json(self) -> dict[str, Any]:
        """Median, 95th percentile and longest, milliseconds; null where there were none."""
        median, late = self.quantile(0.5), self.quantile(0.95)
        return {"median": None if median is None else round(1e3 * median, 2),
                "p95": None if late is None else round(1e3 * late, 2),
                "longest": round(1e3 * self._longest_s, 2) if median is not None else None}
