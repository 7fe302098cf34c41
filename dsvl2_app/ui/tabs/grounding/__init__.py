"""The Grounding tab: a picture and what to look for -> boxes."""
