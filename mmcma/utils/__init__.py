"""Ground floor: small things that every room may use, one idea a file, none of which knows another room."""
