"""What the HTTP surfaces share: authentication, limits, parameters, pages, bodies, responses, errors."""
