"""How well a model answers (`suite`), and how fast (`bench`)."""
