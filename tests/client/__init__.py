"""The package of client/, held to the description and to a service that misbehaves."""
