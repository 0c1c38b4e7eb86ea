"""``python -m lbgen`` is the ``lbgen`` command."""

from lbgen.cli.main import main

if __name__ == "__main__":
    main()
