"""What runs in a terminal: chat, ground and tiles are the three tabs of the page, as text or as one line of JSON."""
