"""CRAN-like repositories of R packages."""
