"""The precisions a graph can be written in, and how far each may be from the net in torch: one table.

fp32 computes as torch does and only sums in another order, so its limits are those of rounding. The others change the
answers, and their limits say how much of a change still is the same mask and the same depth. They were set on rendered
scenes and on pictures of NYU-v2 with the shipped nets and with the paper's, trained, at two to three times the worst
that was measured. A mask's largest difference says little: one pixel at the edge of what the paper's net keeps goes by
0.03 in fp16 and by 0.06 in bf16 where means, sides and depths are a tenth of what is allowed. Masks of a share are
compared as what is used of them, pixels kept or hidden, under which a depth net answers to single pixels; their limits
are two times what a lite0 net had after 300 steps, whose scores are flat and change places more easily than those of a
net that was trained to its end.
"""

from dataclasses import dataclass, replace

from depthcue.errors import DepthcueError

FP32, FP16, BF16, INT8 = "fp32", "fp16", "bf16", "int8"
PRECISIONS = (FP32, FP16, BF16, INT8)
SIXTEEN_BIT = (FP16, BF16)


@dataclass(frozen=True)
class Tolerance:
    """How far an exported graph may be from torch; by default, one in fp32."""

    max_abs: float = 2e-3
    """Largest difference of a mask (0 to 1)."""
    max_share: float = 2e-3
    """Largest difference of a depth, as a share of the depth (of 1 m where it is less)."""
    mean_abs: float = 1e-4
    """Mean difference of a mask."""
    mean_share: float = 1e-4
    """Mean difference of a depth, as a share of the depth."""
    changed_side: float = 1e-3
    """Share of the pixels of real frames that change side at the threshold."""
    task_rmse_m: float = 2e-3
    """RMSE between N's depths under the two masks, or between the two N's depths; in metres for a range of 10 m."""
    task_change_m: float = 1e-3
    """By how much the RMSE between N's depth of the whole picture and under the mask may change; likewise."""
    kept_side: float = 1e-3
    """In the place of `changed_side` for masks of a share, of whose pixels exactly that share is kept."""
    kept_rmse_m: float = 2e-2
    """In the place of `task_rmse_m` for such masks: a pixel that changes side is seen wholly or not at all."""
    kept_change_m: float = 5e-3
    """In the place of `task_change_m` for such masks."""
    on_noise: bool = True
    """Whether random frames count too. Below fp32 they are run for their shapes and for NaN alone: what a net makes of
    noise is far outside of what its numbers were chosen for."""

    def for_depths(self) -> "Tolerance":
        """The tolerance where depths and not masks are compared."""
        return replace(self, max_abs=self.max_share, mean_abs=self.mean_share)

    def for_shares(self) -> "Tolerance":
        """The tolerance for masks of a share, which count as the pixels that they keep."""
        return replace(self, changed_side=self.kept_side, task_rmse_m=self.kept_rmse_m,
                       task_change_m=self.kept_change_m)

    def for_range(self, range_m: float) -> "Tolerance":
        """The tolerance for a depth net of another range: what is in metres grows with it."""
        times = range_m / 10
        return replace(self, task_rmse_m=self.task_rmse_m * times, task_change_m=self.task_change_m * times)


TOLERANCES = {
    FP32: Tolerance(),
    FP16: Tolerance(max_abs=0.1, max_share=2e-2, mean_abs=5e-4, mean_share=2e-3, changed_side=1e-3, task_rmse_m=1e-2,
                    task_change_m=1e-3, kept_side=2e-3, kept_rmse_m=0.15, kept_change_m=3e-2, on_noise=False),
    BF16: Tolerance(max_abs=0.15, max_share=5e-2, mean_abs=2e-3, mean_share=8e-3, changed_side=3e-3, task_rmse_m=3e-2,
                    task_change_m=5e-3, kept_side=2e-2, kept_rmse_m=0.3, kept_change_m=5e-2, on_noise=False),
    INT8: Tolerance(max_abs=0.5, max_share=0.5, mean_abs=5e-3, mean_share=3e-2, changed_side=1.5e-2, task_rmse_m=0.1,
                    task_change_m=1.5e-2, kept_side=5e-2, kept_rmse_m=0.4, kept_change_m=5e-2, on_noise=False),
}


def check_precision(precision: str) -> str:
    """The precision given, once it is known to be one.

    Raises:
        DepthcueError: it is none.
    """
    if precision not in PRECISIONS:
        raise DepthcueError(f"there is no precision {precision!r}", f"Choose {', '.join(PRECISIONS)}.")
    return precision
