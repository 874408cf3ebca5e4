"""`python -m node` is `trireme`."""

from node.cli import main

if __name__ == "__main__":
    main()
