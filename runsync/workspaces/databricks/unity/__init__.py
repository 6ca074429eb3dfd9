"""Models in Unity Catalog: a registry of names with three parts, which keeps the files of versions itself."""
