"""Tables, whatever they are stored in."""
