"""The plain functions of the package, which take models and data as a user has them."""
