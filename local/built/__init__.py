"""The functions as built, under Lambda's own runtime."""
