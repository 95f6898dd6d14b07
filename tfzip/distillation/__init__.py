"""Students that learn from teachers: the distiller and its losses."""
