"""How right the machine was, against a person or the truth: spines, masks, links, identities."""
