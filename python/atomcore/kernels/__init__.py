"""Covariance functions and the linear algebra of kernel machines."""
