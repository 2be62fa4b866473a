"""What everything stands on: settings, errors, logs, time, the rules for single values. It imports no other room."""
