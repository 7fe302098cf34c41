"""The Documents tab: files of pages are read one page after another."""
