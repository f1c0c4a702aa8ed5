"""Evaluation of image samples: feature extractors, Fréchet distance, KID, Inception score, reports, grids."""
