"""``python -m mspn_plugin`` is the command ``mspn``."""

from mspn_cli import main

main(prog_name='mspn')
