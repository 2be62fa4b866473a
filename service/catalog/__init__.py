"""What exists before data: organizations, tokens, assets and sensors."""
