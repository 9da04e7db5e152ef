"""What the programs under tests/interop and tests/load stand on.

Here live child programs, certificates and the running gateway. Cases and figures live with their own program.
"""
