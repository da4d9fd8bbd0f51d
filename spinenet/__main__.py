"""`python -m spinenet` is the `spinenet` command."""

from spinenet.cli import entry

if __name__ == "__main__":
    entry()
