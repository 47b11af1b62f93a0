"""One module for each command: options in, request built, record written, exit code out."""
