"""What exists before data: organizations, tokens, sensors, assets, sites; and who may see what."""
