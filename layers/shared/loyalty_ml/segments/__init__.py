"""Segments: who is in one, how many they are, and how they move."""
