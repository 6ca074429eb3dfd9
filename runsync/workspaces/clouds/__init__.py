"""What hosted workspaces have in common: tokens that expire, and cloud storage behind signed addresses."""
