"""A decode step as a CPU wants it: one call of compiled C, and what describes a decoder to it."""
