"""The store: settled readings, in the form that suits the engine."""
