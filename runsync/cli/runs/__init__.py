"""Commands about runs: `runsync runs …`."""
