"""Runs that arrive in a workspace: what is the same for every kind of target."""
