"""From a registered version to what serves it."""
