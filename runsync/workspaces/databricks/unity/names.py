"""Which names of registered models are those of Unity Catalog: `catalog.schema.model`."""

import re

REGISTRY = "unity-catalog/"
"""Before the paths of its registry, where the workspace's own has nothing."""
PARTS = 3
LONGEST = 255
_UNFIT = re.compile(r"[/ \x00-\x1f\x7f]")


def is_in_catalog(name: str) -> bool:
    """Whether a name has three parts, which no name of the workspace's registry has: that takes no dots."""
    return name.count(".") == PARTS - 1


def why_not(name: str, is_catalog_meant: bool) -> str:
    """Why Databricks can have no model of that name, and what to do; "" where it can. `is_catalog_meant`: nothing is to
    go to the workspace's own registry."""
    example = re.sub(r"[^a-z0-9_]+", "_", name.lower().rpartition(".")[2]).strip("_") or "model"
    say = f"say --rename '{name}=CATALOG.SCHEMA.{example}'"
    if not is_in_catalog(name):
        if is_catalog_meant:
            return f"“{name}” is no name in Unity Catalog, where a model is called CATALOG.SCHEMA.NAME: {say}"
        if "." in name:
            return f"“{name}” is a name neither in Unity Catalog (CATALOG.SCHEMA.NAME) nor, with dots, elsewhere: {say}"
        return ""
    parts = name.split(".")
    if not all(parts) or any(_UNFIT.search(part) or len(part) > LONGEST for part in parts):
        return f"“{name}” is no name in Unity Catalog (a part is empty or too long, or has a space or slash): {say}"
    if name != name.lower():
        return f"Unity Catalog keeps names in lower case, and “{name}” has others: say --rename '{name}={name.lower()}'"
    return ""
