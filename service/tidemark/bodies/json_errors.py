"""Explanations of what is wrong with a JSON text."""


def explain(error: Exception) -> str:
    """Why a text could not be decoded, as the end of a sentence."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
