"""databricks-sdk, kept from the environment.

It lets variables such as DATABRICKS_TOKEN win over a profile that is named, and some of its ways to log in read
variables of their own. What a profile says must be all that counts, so they are not there while it reads its settings.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from runsync.workspaces.databricks.profile import ENVIRONMENT, Profile

FOREIGN = ("DATABRICKS_", "ARM_")
_one = Lock()


@contextmanager
def without_environment(profile: Profile) -> Iterator[None]:
    """Hides the variables that say who we are, unless it is them that the profile was made of."""
    if profile.origin == ENVIRONMENT:
        yield
        return
    with _one:
        hidden = {name: value for name, value in os.environ.items() if name.startswith(FOREIGN)}
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)
