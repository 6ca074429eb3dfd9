"""Where runs live: for each kind of workspace its source and target, and how artifact bytes move."""
