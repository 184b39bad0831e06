"""Penchant's MCP tools, resources and prompts."""
