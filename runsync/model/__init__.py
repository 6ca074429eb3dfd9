"""Plain values and pure functions: what a run is, whatever workspace or bundle it lies in. No I/O."""
