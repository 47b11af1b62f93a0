"""Where versions serve: one module for each kind of target."""
