"""`modelship init`: look at a repository, and write what is found as configuration and workflow."""
