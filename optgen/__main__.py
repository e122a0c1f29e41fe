"""``python -m optgen`` is ``optgen``."""

from optgen.cli import main

main()
