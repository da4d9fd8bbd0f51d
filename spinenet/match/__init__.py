"""Which spine is which: align (coarse, um), warp (arc length), score, assign, look back."""
