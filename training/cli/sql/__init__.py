"""loyalty sql: what makes a warehouse call the service."""
