"""How: pyinfra operations only, one module an area. Each takes its plan; none decides anything about hardware."""
