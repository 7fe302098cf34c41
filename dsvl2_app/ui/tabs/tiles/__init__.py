"""The Tiles tab: what the model gets of a picture, and a view inside while it answers."""
