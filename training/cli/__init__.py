"""The command `loyalty`: a module for each subcommand, which imports its packages once they are known to be there."""
