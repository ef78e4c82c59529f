"""The documentation: pages for people, by reader and task, and what writes the reference pages from the code."""
