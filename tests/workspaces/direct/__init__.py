"""What holds for every store that is reached without a server."""
