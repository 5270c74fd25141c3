"""`python -m gateway` is `heyzack`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
