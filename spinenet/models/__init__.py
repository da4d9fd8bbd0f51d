"""The nets, and the one recipe by which stacks become what they see."""
