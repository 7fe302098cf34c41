"""DeepSeek-VL2 in other people's evaluation harnesses, through the same backend as everything here.

Each module subclasses what its harness asks for, and is imported by the harness alone.
"""
