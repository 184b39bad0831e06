"""Measurements of the real product; each program prints and keeps its figures (see README.md here)."""
