"""`python -m corrstore` is the command `corrstore`."""

from corrstore.command_line import main

main()
