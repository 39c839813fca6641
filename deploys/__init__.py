"""The collection: files here are run by pyinfra, packages below are imported by them."""
