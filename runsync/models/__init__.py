"""Verbs on registered and logged models where they lie: list, show, get, compare."""
