"""Programs that the cloud's own Python runs; they import nothing of this project."""
