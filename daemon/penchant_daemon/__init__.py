"""The Penchant daemon: the process and everything that acts."""
