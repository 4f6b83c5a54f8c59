"""``python -m ganforge`` is ``ganforge``."""

from ganforge.cli import main

main()
