"""chat, ground and tiles in a terminal: the three tabs of the page, as text or as one line of JSON."""
