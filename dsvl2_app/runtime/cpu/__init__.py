"""The CPU: compiled kernels for few tokens and for many, and a decode step as one call in C."""
