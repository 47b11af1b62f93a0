"""May this model folder be registered? Decided from its bytes alone; nothing in it is loaded."""
