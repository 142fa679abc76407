"""`python -m leftoff.cli`, for where the command is not on the path."""

from leftoff.cli import main

main(prog_name="leftoff")
