"""How well a model answers: `evaluate` asks what a suite wants to know, `scoring` compares, `report` tells."""
