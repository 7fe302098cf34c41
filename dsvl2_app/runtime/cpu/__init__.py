"""The CPU: torch's own products for many tokens, compiled kernels for few, and a decode step as one call in C."""
