"""The subcommands that ask a running service, through the client of client/."""
