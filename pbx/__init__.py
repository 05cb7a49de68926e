"""Tandem: a B2BUA and IP-PBX server."""

__version__ = "0.1.0"
