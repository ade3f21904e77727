"""`python -m killick`: the same program as the command `killick`."""

from killick.cli.main import main

if __name__ == "__main__":
    main()
