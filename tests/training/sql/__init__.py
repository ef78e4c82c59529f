"""Tests of training.sql."""
