"""Pixels in, pixels out: untrusted bytes -> picture (`load`) -> tiles (`tiles`); drawings (`overlay`)."""
