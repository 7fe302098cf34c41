"""What went on inside while an answer was written: the record, and its files."""

from dsvl2_app.inspection.file import read, write
from dsvl2_app.inspection.record import Inspection

__all__ = ["Inspection", "read", "write"]
