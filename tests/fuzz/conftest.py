"""The fuzz targets are scripts, not tests: pytest does not collect them (tests/test_fuzz.py runs each for a second)."""

collect_ignore_glob = ["*.py"]
