"""Findings of Hu et al. (ICCV 2019) on masks, as numbers: edges, small objects, far regions and vanishing points."""
