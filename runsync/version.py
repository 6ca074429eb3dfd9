"""The one place that knows runsync's version."""

from importlib.metadata import version

VERSION = version("runsync")
