"""The front and the back door: the only rooms that touch the disk."""
