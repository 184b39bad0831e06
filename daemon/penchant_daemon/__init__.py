"""The Penchant daemon: the process and everything that acts."""

__version__ = "0.1.0"  # pyproject.toml says the same; a test compares them
