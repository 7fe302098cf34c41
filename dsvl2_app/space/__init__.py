"""This clone as a Space of Hugging Face: what each kind of Space is told, and a folder that is ready to be pushed."""
