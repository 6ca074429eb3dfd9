"""A strict Databricks workspace on loopback (see README.md for what it does, and where it is known from)."""

from emulators.databricks.clock import Clock, FasterClock, RealClock, SimulatedClock
from emulators.databricks.faults import Fault, Faults, too_many
from emulators.databricks.options import Cloud, Doubts, Limits
from emulators.databricks.rates import DOCUMENTED, Usage
from emulators.databricks.workspace import Databricks, Seen, careful

__all__ = [
    "DOCUMENTED",
    "Clock",
    "Cloud",
    "Databricks",
    "Doubts",
    "FasterClock",
    "Fault",
    "Faults",
    "Limits",
    "RealClock",
    "Seen",
    "SimulatedClock",
    "Usage",
    "careful",
    "too_many",
]
