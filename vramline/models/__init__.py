"""What the host application imports."""
