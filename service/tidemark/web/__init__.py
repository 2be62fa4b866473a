"""Web analytics: page views in, figures out."""
