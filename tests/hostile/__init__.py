"""Input as strangers may send it: files that are bad or odd, and words that try to be more than words."""
