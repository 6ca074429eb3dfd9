"""What a backend must do to be a source or a target."""
