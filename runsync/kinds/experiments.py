"""Experiments: all runs lie in them, and most kinds of entities."""

from runsync.kinds.carried import OwnPath
from runsync.kinds.kind import EXPERIMENTS as NAME

EXPERIMENTS = OwnPath(NAME, "experiment")
