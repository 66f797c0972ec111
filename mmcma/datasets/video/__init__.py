"""Videos: which frames, decoded by what, cached where."""
