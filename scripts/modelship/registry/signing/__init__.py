"""Signatures of model folders, made and verified by OpenSSF's model-signing in an environment of its own."""
