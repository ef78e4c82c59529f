"""What each function is made of: its settings, its clients, its parts. Nothing below imports this package."""
