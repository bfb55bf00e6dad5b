"""What was published of other networks in the same experiments, as marks of reference.

MonoDepth (Godard et al. 2017) on KITTI frames, from van Dijk and de Croon, How Do Neural Networks See Depth in Single
Images? (ICCV 2019); DPT-Hybrid and the values at three times the distance from the plots of a follow-up.
"""

POSITION_SIZE_AT_3 = {"MonoDepth": {"both": 3.16, "position": 3.37, "size": 1.08},
                      "DPT-Hybrid": {"both": 3.01, "position": 1.99, "size": 1.06}}
"""Distance seen of an obstacle over that at the nearest place, where the cue of a condition says 3."""
PITCH_SLOPE = {"MonoDepth": 0.71, "DPT-Hybrid": 0.94}
"""Slope of the horizon seen against the true one."""
MARKS = {"MonoDepth": "x", "DPT-Hybrid": "+"}
"""Markers in figures."""
