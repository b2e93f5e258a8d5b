"""What joins the session to frameworks: imported by name, never by the package."""
