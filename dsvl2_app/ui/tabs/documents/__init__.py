"""The Documents tab: files of pages are read in their order, several pages at once."""
