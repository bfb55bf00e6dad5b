"""What Hu et al. (ICCV 2019) found by looking at masks, as numbers: edges, small objects, the far and vanishing."""
