"""Centrelines, and every spine's place and size on them. Rooms below: skeleton, attach, shape."""
