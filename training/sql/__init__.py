"""The SQL that makes a warehouse call this service: functions of a deployed stack, with its names and limits."""
