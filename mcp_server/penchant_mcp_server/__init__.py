"""Penchant's MCP tools, resources and prompts."""

from penchant_mcp_server.server import mount

__all__ = ["mount"]
