"""`python -m facefort` is the command line."""

from facefort.app.cli.main import entry

entry()
