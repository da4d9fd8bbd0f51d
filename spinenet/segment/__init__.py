"""From a stack to shafts and one label per spine: predict (tiles -> probabilities), then label."""
