"""KPI science: numpy arrays in, results out. No I/O, no clock. The only package that imports numba."""
