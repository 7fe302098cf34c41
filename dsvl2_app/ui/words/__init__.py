"""What the page says, in English and Chinese."""
