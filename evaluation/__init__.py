"""Evaluation of image samples: feature extractors, Fréchet distance, KID, Inception score, reports, grids."""

import linnet as linnet  # in a clone: makes the short names lead to modules of linnet
