"""What registries say of images, asked from the controller with requests: digest, platforms, sizes, tags, limits."""
