"""Runs. They take a path of their own, because they are many and their metric history is large: see
docs/architecture.md."""

from runsync.kinds.carried import OwnPath
from runsync.kinds.experiments import EXPERIMENTS
from runsync.model.selection import RUNS as NAME

RUNS = OwnPath(NAME, "run", requires=(EXPERIMENTS.name,))
