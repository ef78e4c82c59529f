"""What comes of faults that are injected for real: stores that hang, throttle or break off, and processes that die."""
