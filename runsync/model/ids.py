"""Ids of runs, which come from servers and bundles and are not to be trusted.

They become names of folders, steps of URLs, keys of databases and values in filters. So an id is judged before anything
is touched for it: MLflow gives out 32 hexadecimal digits, other servers words with dashes, dots and colons.
"""

import re

from runsync.model.identity import COPY, ORIGIN, origin_of
from runsync.model.run import Run

LONGEST = 250
"""Characters: file systems take 255 bytes for a name, and a file may need some more while it is written."""
_FIT = re.compile(r"[\w][\w.:@+~=-]*")
_GIVEN_OUT = re.compile(r"[0-9a-f]{32}")


def unfit_id(text: str) -> str | None:
    """Why a text may not be used as an id, or None when it may."""
    if not text:
        return "it is empty"
    if len(text.encode(errors="surrogatepass")) > LONGEST:
        return f"it is longer than {LONGEST} bytes"
    if _FIT.fullmatch(text) is None:
        return "only letters, digits and _ . : @ + ~ = - are allowed, and it must begin with a letter, a digit or _"
    return None


def unfit_run(run: Run) -> str | None:
    """Why a run cannot be carried for its id, or for that which it had where it was born; None when it can."""
    if reason := unfit_id(run.run_id):
        return f"its id cannot be used: {reason}"
    if reason := unfit_id(origin_of(run)):
        return f"the id in its tag {COPY if COPY in run.tags else ORIGIN} cannot be used: {reason}"
    return None


def is_given_out(run_id: str) -> bool:
    """Whether it is an id as MLflow itself makes them: nothing but a run is called so."""
    return _GIVEN_OUT.fullmatch(run_id) is not None
