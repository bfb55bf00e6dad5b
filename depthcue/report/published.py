"""Numbers that the paper prints, to stand beside ours: Hu, Zhang, Okatani (ICCV 2019), Table 1.

Measured on the 654 test pictures of NYU-v2 with a ResNet-50 of Hu et al. (WACV 2019) that was trained on about 50 000
pairs, one mask net for every lambda. Ours is beside it where the network is that one and the pictures are NYU-v2's;
another training, or fewer pictures, give other numbers.
"""

from dataclasses import dataclass

from depthcue.report.results import Results

SOURCE = "Hu, Zhang, Okatani, ICCV 2019, Table 1"


@dataclass(frozen=True)
class PublishedRow:
    """One row: RMSE in metres through M and M', and the sparseness of M'."""

    lam: float
    rmse: float
    rmse_binary: float
    sparseness: float


ORIGINAL_RMSE = 0.555
"""Of the depth net on whole pictures."""

TABLE_1 = (
    PublishedRow(1, 0.605, 0.568, 0.920), PublishedRow(2, 0.668, 0.617, 0.746), PublishedRow(3, 0.699, 0.668, 0.589),
    PublishedRow(4, 0.731, 0.733, 0.425), PublishedRow(5, 0.740, 0.758, 0.361), PublishedRow(6, 0.772, 0.882, 0.215),
)


def is_the_papers(results: Results) -> bool:
    """Whether an evaluation was made with the network and the data of Table 1, as far as the document says."""
    return bool(results["target_net"].get("architecture") == "hu-resnet50" and results["ground_truth"]
                and results["data"]["spec"].startswith("nyu:"))
